/** One of several servers in a process, each in a thread of its own, all at the same port. */
import { MessageChannel, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { SharedMemory } from '../../adapters/shared-memory.ts';
import { makeLog } from '../log.ts';
import { startServer } from '../server.ts';
import type { ServeTalk, WorkerData } from './messages.ts';
import { tell, work } from './work.ts';

const data = workerData as WorkerData;
/** The supervisor answers at once, or it is gone. */
const SHARED_MS = 10_000;

const shared: SharedMemory = {
  get(handler, name, bytes) {
    const { port1, port2 } = new MessageChannel();
    const signal = new Int32Array(new SharedArrayBuffer(4));
    tell<ServeTalk>({ handler, name, bytes, port: port2, signal }, [port2]);
    Atomics.wait(signal, 0, 0, SHARED_MS);
    const received = receiveMessageOnPort(port1) as { readonly message: SharedArrayBuffer } | undefined;
    port1.close();
    if (received === undefined) throw new Error('no memory was shared in time');
    return received.message;
  },
  all: [],
};

await work<ServeTalk>(async () => {
  const server = await startServer({
    configs: data.configs, grpc: data.grpc, admin: undefined, graceMs: data.graceMs, transport: data.transport,
    log: makeLog(data.log.format, data.log.level), worker: { place: { number: data.number, count: data.count }, shared },
  });
  const { sources } = server;
  return {
    ready: { port: server.grpcPort },
    answers: {
      reload: () => server.reload(),
      limits: ({ depth, asked }) => sources.limits(depth, asked),
      view: async () => ({ handlers: await sources.handlers(), verdicts: await sources.verdicts(), metrics: await sources.metrics() }),
    },
    drain: () => server.drain(),
  };
});
