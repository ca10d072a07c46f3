/** One of several threads that answer rate limits at one port. */
import { workerData } from 'node:worker_threads';
import { answerJson } from '../../frontends/ratelimit/service-json.ts';
import { openEngine } from '../../ratelimit/serve/engine.ts';
import { readConfigs } from '../../ratelimit/config/read.ts';
import { RatelimitMetrics } from '../../ratelimit/metrics/metrics.ts';
import type { TlsOptions, Transport } from '../../transport/index.ts';
import { containFaults, ESCAPED_GAUGE } from '../contain-errors.ts';
import { memoryOfAll } from '../crew/shared-memory-request.ts';
import { tell, work } from '../crew/worker-main.ts';
import { whyNotStarted } from './failure.ts';
import { GRACE_MS, grpcAddress, openGrpcDoor } from './grpc-door.ts';
import type { RatelimitTalk, WorkerData } from './messages.ts';
import { ownLog } from './own-log.ts';
import { ownTracing, tracingEnded } from './own-tracing.ts';

const { settings, shared } = workerData as WorkerData;

await work<RatelimitTalk>(async () => {
  const metrics = new RatelimitMetrics();
  const log = ownLog(settings).with({ worker: shared.worker });
  const escaped = containFaults(log);
  metrics.gauges.set(ESCAPED_GAUGE, () => escaped.total);
  const tracing = await ownTracing(settings, log);
  let address = grpcAddress(settings);
  let tls: TlsOptions | undefined;
  let transport: Transport | undefined;
  const engine = await openEngine({
    settings,
    metrics,
    log,
    shared,
    aroundRedis: tracing?.store,
    answerJson: tracing?.json(answerJson) ?? answerJson,
    openAlgorithms: async () =>
      (await import('./open-algorithms.ts')).openAlgorithms(settings, log, {
        worker: { number: shared.worker, count: settings.SLUICE_WORKERS },
        shared: memoryOfAll((wish, moved) => tell<RatelimitTalk>({ wish }, moved)),
      }),
    async listenGrpc(service, counting, isHealthy) {
      const opened = (transport = await openGrpcDoor({
        service,
        metrics: counting,
        isHealthy,
        settings,
        address,
        tls,
        reusePort: true,
        tracing,
        log,
      }));
      return { port: opened.port, drain: () => opened.drain(GRACE_MS) };
    },
  }).catch((error: unknown) => {
    throw whyNotStarted(error);
  });
  const { limits } = engine;
  let listening: Promise<number> | undefined;
  const count = (): true => {
    tell<RatelimitTalk>({ counts: metrics.take(), gauges: [...metrics.gauges].map(([name, read]) => [name, read()]) });
    return true;
  };
  return {
    ready: undefined,
    answers: {
      async use(files): Promise<true> {
        await engine.use(
          files,
          readConfigs(files, {
            mergeDomains: settings.MERGE_DOMAIN_CONFIG,
            calendarMonths: settings.USE_CALENDAR_MONTH_RATE_LIMIT,
          }).domains,
        );
        return true;
      },
      renewTls(renewed) {
        transport?.renewTls(renewed);
        tls = renewed;
        return true;
      },
      listen(given) {
        address = given;
        return (listening ??= engine.listen());
      },
      health: () => ({ listens: transport !== undefined, why: engine.notAnsweringWhy() }),
      json: ({ body, headers }) => engine.answerJson(body, headers),
      explain: ({ domain, entries }) => limits.explain(domain, entries),
      inspect: ({ domain, entries }) => limits.inspect(domain, entries),
      reset: ({ domain, entries }) => limits.reset(domain, entries),
      forget({ domain, entries }) {
        limits.forget(domain, entries);
        return true;
      },
      count,
    },
    async drain() {
      await engine.drain();
      await engine.close();
      count();
      if (!(await tracingEnded(tracing, log))) process.exit(); // of this thread
    },
  };
});
