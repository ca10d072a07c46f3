/**
 * How long the certificate of a server is valid; clients reject one that has expired.
 * **In**: what is served, as PEM. **Out**: families of the metrics page, and a log line while it is not valid. **Fails**: never.
 */
import { X509Certificate } from 'node:crypto';
import type { Log } from '../adapters/contract.ts';
import type { MetricFamily } from '../core/metrics/families.ts';
import { messageOf } from '../text/message-of.ts';
import { gauge } from '../core/metrics/family.ts';

export interface Validity {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Of the certificate of a chain that ends first; `undefined` if none can be read. */
export function validityOf(chain: string | Buffer): Validity | undefined {
  let first: Validity | undefined;
  for (const [pem] of String(chain).matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)) {
    const { validFromDate, validToDate } = new X509Certificate(pem);
    const [fromMs, toMs] = [validFromDate.getTime(), validToDate.getTime()];
    if (first === undefined || toMs < first.toMs) first = { fromMs, toMs };
  }
  return first;
}

/** `served`: the chain; `undefined` without TLS. */
export function certificateFamilies(served: () => string | Buffer | undefined): MetricFamily[] {
  let parsed: { readonly chain: string | Buffer; readonly validity: Validity | undefined } | undefined;
  const secondsOf = (read: (validity: Validity) => number) => (): number | undefined => {
    const chain = served() ?? '';
    if (parsed?.chain !== chain) parsed = { chain, validity: validityOf(chain) };
    return parsed.validity && read(parsed.validity) / 1000;
  };
  return [
    gauge(
      'sluice_certificate_start_timestamp_seconds',
      'Time from which the certificate of the server is valid, in seconds since 1970; of a chain that of the first to end.',
      secondsOf(({ fromMs }) => fromMs),
    ),
    gauge(
      'sluice_certificate_end_timestamp_seconds',
      'Time at which the certificate of the server ends, in seconds since 1970; of a chain the first end.',
      secondsOf(({ toMs }) => toMs),
    ),
  ];
}

/** One line if it is not valid now. `file`: where a renewed one is expected. */
export function logInvalid(chain: string | Buffer, file: string, log: Pick<Log, 'error'>, nowMs = Date.now()): void {
  try {
    const validity = validityOf(chain);
    if (validity === undefined) return;
    const { fromMs, toMs } = validity;
    if (nowMs >= toMs)
      log.error('the certificate has ended, so that clients refuse it; renew it', { file, ended: isoOf(toMs) });
    else if (nowMs < fromMs)
      log.error('the certificate is not valid yet, so that clients refuse it; see the clock of this machine', {
        file,
        begins: isoOf(fromMs),
      });
  } catch (error) {
    log.error('the validity of the certificate cannot be read', { file, why: messageOf(error) });
  }
}

const isoOf = (ms: number): string => new Date(ms).toISOString();
