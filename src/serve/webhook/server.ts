/**
 * The server of `sluice webhook`: an HTTPS port for API servers, and an HTTP port for operators.
 * **In**: addresses, files. **Out**: a server that follows its files, and drains. **Fails**: with a {@link StartError}; later never: the
 * last good configuration and certificate stay.
 */
import type { Log } from '../../adapters/contract.ts';
import { type HttpPort, listenAt, makeAdminApp } from '../../admin/http-app.ts';
import { sendMetrics } from '../../admin/metrics-reply.ts';
import { metricsPage } from '../../admin/metrics.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import { stampsOf, startWatching } from '../../files/watch.ts';
import type { Injector } from '../../inject/admission/review.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Address, TlsOptions } from '../../transport/index.ts';
import { StartError } from '../errors.ts';
import { atAddress } from '../grpc-listener.ts';
import { listenHttp } from '../http-listener.ts';
import { oneAtATime } from '../one-at-a-time.ts';
import { certificateFamilies } from '../certificate-validity.ts';
import { readTls, type TlsFiles, watchTls } from '../tls-files.ts';
import { WebhookMeters } from './meters.ts';
import { injectHandler } from './requests.ts';

export interface WebhookOptions {
  /** Port 0: any free one. */
  readonly address: Address;
  readonly admin: Address;
  readonly tls: TlsFiles;
  /** Reads all files of the configuration; rejects with the first error. */
  readonly readInjector: () => Promise<Injector>;
  /** Paths of these files. */
  readonly files: readonly string[];
  readonly log: Log;
  readonly graceMs: number;
  /** How often files are looked at. */
  readonly everyMs?: number;
  /** Time to receive a whole request. */
  readonly requestMs?: number;
}

export interface WebhookServer {
  readonly address: Address;
  readonly admin: Address;
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

export async function startWebhook(options: WebhookOptions): Promise<WebhookServer> {
  const { readInjector, files, log, graceMs, everyMs, requestMs } = options;
  const meters = new WebhookMeters();
  const tls = await readTls(options.tls);
  let served = tls;
  let isDraining = false;
  const stamp = (): Promise<string> => stampsOf(files);
  const known = await stamp();
  let injector = await readInjector().catch((error: unknown) => {
    throw new StartError('CLI_INJECT_CONFIG', messageOf(error), { cause: error });
  });
  warnOfPolicy(injector, log);

  await using stack = new AsyncDisposableStack();
  const listener = await listenHttp({
    address: options.address,
    tls,
    reusePort: false,
    ...(requestMs === undefined ? {} : { limits: { requestTimeout: requestMs, headersTimeout: requestMs } }),
    handle: injectHandler({ injector: () => injector, meters, isDraining: () => isDraining, log }),
  });
  stack.defer(() => listener.drain(0));
  const admin = await startAdmin(
    options.admin,
    [...meters.families, ...certificateFamilies(() => served.cert)],
    () => !isDraining,
  );
  stack.defer(() => admin.close());

  const reload = oneAtATime(async () => {
    try {
      injector = await readInjector();
    } catch (error) {
      meters.failedReloads += 1;
      log.error('the injection configuration has errors; the last good one stays', { why: messageOf(error) });
      return false;
    }
    meters.reloads += 1;
    warnOfPolicy(injector, log);
    log.info('the injection configuration was loaded', { policy: injector.decision.policy });
    return true;
  });
  const watching = startWatching({
    stamp,
    known,
    onChange: async () => {
      await reload();
    },
    everyMs,
  });
  const renew = (renewed: TlsOptions): void => {
    listener.renewTls(renewed);
    served = renewed;
  };
  const certificate = watchTls(options.tls, tls, renew, log);
  const kept = stack.move();
  return {
    address: { host: listener.host, port: listener.port },
    admin,
    reload,
    async drain() {
      isDraining = true;
      certificate.close();
      await watching.close();
      await listener.drain(graceMs);
      await kept.disposeAsync();
    },
  };
}

/** Istio's reading: no pod is injected, not even one that asks for it. */
function warnOfPolicy({ decision: { policy } }: Injector, log: Log): void {
  if (policy !== 'enabled' && policy !== 'disabled')
    log.warn('the policy is neither enabled nor disabled, so no pod is injected', { policy });
}

function startAdmin(at: Address, families: readonly MetricFamily[], isReady: () => boolean): Promise<HttpPort> {
  const app = makeAdminApp(at.host);
  const metrics = metricsPage(families);
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => reply.code(isReady() ? 200 : 503).send({ ready: isReady() }));
  app.get('/metrics', async (request, reply) => sendMetrics(metrics.pieces(), request, reply));
  return atAddress(at, ({ host, port }) => listenAt(app, host, port));
}
