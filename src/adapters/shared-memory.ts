/** Workers of one process; more threads than any machine has cores are a typing error. */
export const MOST_WORKERS = 256;

/** Memory that outlives a handler: by handler, name and size. */
export interface SharedMemory {
  get(handler: string, name: string, bytes: number): SharedArrayBuffer;
  readonly all: Iterable<SharedArrayBuffer>;
}

export function createSharedMemory(): SharedMemory {
  const buffers = new Map<string, SharedArrayBuffer>();
  return {
    get(handler, name, bytes) {
      const key = JSON.stringify([handler, name, bytes]);
      let buffer = buffers.get(key);
      if (buffer === undefined) buffers.set(key, (buffer = new SharedArrayBuffer(bytes)));
      return buffer;
    },
    get all() {
      return buffers.values();
    },
  };
}
