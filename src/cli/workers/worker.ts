/** One of several servers in a process, each in a thread of its own, all at the same port. */
import { MessageChannel, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { SharedMemory } from '../../adapters/shared-memory.ts';
import { CliError } from '../cli-error.ts';
import { makeLog } from '../log.ts';
import { type Server, startServer } from '../server.ts';
import type { FromWorker, ToWorker, WorkerData } from './messages.ts';

const data = workerData as WorkerData;
const say = (message: FromWorker, moved: MessageChannel['port1'][] = []): void => parentPort?.postMessage(message, moved);
/** The supervisor answers at once, or it is gone. */
const SHARED_MS = 10_000;

const shared: SharedMemory = {
  get(handler, name, bytes) {
    const { port1, port2 } = new MessageChannel();
    const signal = new Int32Array(new SharedArrayBuffer(4));
    say({ kind: 'shared', handler, name, bytes, port: port2, signal }, [port2]);
    Atomics.wait(signal, 0, 0, SHARED_MS);
    const received = receiveMessageOnPort(port1) as { readonly message: SharedArrayBuffer } | undefined;
    port1.close();
    if (received === undefined) throw new Error('no memory was shared in time');
    return received.message;
  },
  all: [],
};

async function answer(server: Server, message: ToWorker): Promise<void> {
  switch (message.kind) {
    case 'reload': {
      const isTaken = await server.reload();
      return say({ kind: 'reloaded', id: message.id, isTaken, revision: server.policy().revision });
    }
    case 'view': {
      const { sources } = server;
      return say({ kind: 'viewed', id: message.id, view: { handlers: await sources.handlers(), verdicts: await sources.verdicts(), metrics: await sources.metrics() } });
    }
    case 'limits':
      return say({ kind: 'limits', id: message.id, answer: await server.sources.limits(message.depth, message.asked) });
    case 'drain':
      await server.drain();
      parentPort?.close();
  }
}

try {
  const server = await startServer({
    configs: data.configs, grpc: data.grpc, admin: undefined, graceMs: data.graceMs, transport: data.transport,
    log: makeLog(data.log.format, data.log.level), worker: { place: { number: data.number, count: data.count }, shared },
  });
  parentPort?.on('message', (message: ToWorker) => void answer(server, message));
  say({ kind: 'serves', port: server.grpcPort });
} catch (error) {
  say({ kind: 'failed', failure: error instanceof CliError ? { code: error.code, message: error.message, exit: error.exit } : String(error) });
  parentPort?.close();
}
