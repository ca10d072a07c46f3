/** Maximum workers of a process; a larger number is rejected as a typo. */
export const MAX_WORKERS = 256;

/** Shared memory by handler, name and size; it outlives the handler. */
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
