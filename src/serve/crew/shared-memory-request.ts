/** Memory that all workers see: the supervisor has it, and a worker asks for it when it needs it. */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { SharedMemory } from '../../adapters/shared-memory.ts';

/** It sleeps until it has it. */
export interface MemoryWish {
  readonly handler: string;
  readonly name: string;
  readonly bytes: number;
  readonly port: MessagePort;
  readonly signal: Int32Array;
}

/** The supervisor answers at once, or it is gone. */
const SHARED_MS = 10_000;

/** As a worker sees it. */
export function memoryOfAll(wish: (wish: MemoryWish, moved: MessagePort[]) => void): SharedMemory {
  return {
    get(handler, name, bytes) {
      const { port1, port2 } = new MessageChannel();
      const signal = new Int32Array(new SharedArrayBuffer(4));
      wish({ handler, name, bytes, port: port2, signal }, [port2]);
      Atomics.wait(signal, 0, 0, SHARED_MS);
      const received = receiveMessageOnPort(port1) as { readonly message: SharedArrayBuffer } | undefined;
      port1.close();
      if (received === undefined) throw new Error('no memory was shared in time');
      return received.message;
    },
    all: [],
  };
}

/** The supervisor's answer. */
export function fulfil({ handler, name, bytes, port, signal }: MemoryWish, shared: SharedMemory): void {
  port.postMessage(shared.get(handler, name, bytes));
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
}
