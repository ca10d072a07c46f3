/** One of several servers in a process, each in a thread of its own, all at the same port. */
import { workerData } from 'node:worker_threads';
import { containFaults } from '../contain-errors.ts';
import { makeLog } from '../../log/log.ts';
import { startServer } from '../server.ts';
import { memoryOfAll } from '../crew/shared-memory-request.ts';
import type { ServeTalk, WorkerData } from './messages.ts';
import { tell, work } from '../crew/worker-main.ts';
import type { PreparedPolicy } from '../../core/snapshot/in-force.ts';

const data = workerData as WorkerData;
const log = makeLog(data.log.format, data.log.level);
const escaped = containFaults(log);
const shared = memoryOfAll(tell<ServeTalk>);

await work<ServeTalk>(async () => {
  const server = await startServer({
    configs: [],
    texts: data.texts,
    grpc: data.grpc,
    admin: undefined,
    graceMs: data.graceMs,
    transport: data.transport,
    log,
    escaped,
    worker: { place: { number: data.number, count: data.count }, shared },
  });
  const { sources } = server;
  let prepared: PreparedPolicy | undefined;
  /** One after the other: a policy that is given while another is prepared comes after it. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<void> | void): Promise<true> => {
    const done = last.then(work).then((): true => true);
    last = done.catch(() => undefined);
    return done;
  };
  return {
    ready: { port: server.grpcPort },
    answers: {
      prepare: (texts) =>
        inTurn(async () => {
          await prepared?.abandon();
          prepared = undefined;
          prepared = await server.prepare(texts);
        }),
      commit: () =>
        inTurn(() => {
          prepared?.commit();
          prepared = undefined;
        }),
      abandon: () =>
        inTurn(async () => {
          await prepared?.abandon();
          prepared = undefined;
        }),
      use: (texts) => inTurn(async () => (await server.prepare(texts)).commit()),
      limits: ({ depth, asked }) => sources.limits(depth, asked),
      verdicts: (filter) => sources.verdicts(filter),
      view: async () => ({ handlers: await sources.handlers(), metrics: await sources.metrics() }),
    },
    drain: () => server.drain(),
  };
});
