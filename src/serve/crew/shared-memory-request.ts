/** Memory shared by all workers: the supervisor owns it, a worker requests it by name. */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { SharedMemory } from '../../adapters/shared-memory.ts';

export interface MemoryRequest {
  readonly handler: string;
  readonly name: string;
  readonly bytes: number;
  readonly port: MessagePort;
  /** Set to 1 when the answer is at `port`; the worker sleeps until then. */
  readonly signal: Int32Array;
}

/** The supervisor answers at once, or it is gone. */
const ANSWER_MS = 10_000;

/** The shared memory as a worker sees it; `get` blocks the thread until the supervisor has answered. */
export function requestedMemory(send: (request: MemoryRequest, moved: MessagePort[]) => void): SharedMemory {
  return {
    get(handler, name, bytes) {
      const { port1, port2 } = new MessageChannel();
      const signal = new Int32Array(new SharedArrayBuffer(4));
      send({ handler, name, bytes, port: port2, signal }, [port2]);
      Atomics.wait(signal, 0, 0, ANSWER_MS);
      const received = receiveMessageOnPort(port1) as { readonly message: SharedArrayBuffer } | undefined;
      port1.close();
      if (received === undefined) throw new Error(`no shared memory was received within ${ANSWER_MS} ms`);
      return received.message;
    },
    all: [],
  };
}

/** The supervisor's side. */
export function answerMemoryRequest({ handler, name, bytes, port, signal }: MemoryRequest, memory: SharedMemory): void {
  port.postMessage(memory.get(handler, name, bytes));
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
}
