/**
 * `sluice sidecar wait`: holds a container until the Envoy of its pod serves.
 * **In**: the port of Envoy's own pages. **Out**: exit code 0 when Envoy is live. **Fails**: with CLI_UNREACHABLE if it is not in time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { causeMessageOf } from '../../text/message-of.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export interface WaitFlags {
  readonly proxyAdminPort: string;
  readonly timeoutSeconds: string;
}

const PERIOD_MS = 200;
const REQUEST_MS = 1000;

export async function waitForEnvoy({ proxyAdminPort, timeoutSeconds }: WaitFlags): Promise<ExitCode> {
  const seconds = Number(timeoutSeconds);
  if (!(seconds > 0)) throw new CliError('CLI_USAGE', `--timeoutSeconds is "${timeoutSeconds}"; expected seconds`);
  const url = `http://127.0.0.1:${proxyAdminPort}/ready`;
  if (!URL.canParse(url)) throw new CliError('CLI_USAGE', `--proxyAdminPort is "${proxyAdminPort}"; expected a port`);
  const giveUpAt = performance.now() + seconds * 1000;
  for (;;) {
    const why = await notReady(url);
    if (why === undefined) return EXIT.ok;
    if (performance.now() > giveUpAt)
      throw new CliError('CLI_UNREACHABLE', `Envoy is not ready after ${seconds} s: ${url}: ${why}`);
    await sleep(PERIOD_MS);
  }
}

/** `undefined`: it is. Envoy is live when it has had its first resources. */
export async function notReady(url: string, signal = AbortSignal.timeout(REQUEST_MS)): Promise<string | undefined> {
  try {
    const { status, body } = await fetch(url, { signal });
    await body?.cancel();
    return status === 200 ? undefined : `answers ${status}`;
  } catch (error) {
    return causeMessageOf(error);
  }
}
