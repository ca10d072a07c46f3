import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';

/** As much as Node reads at once. */
const BUFFER_BYTES = 64 * 1024;
/** What is left of a buffer that is in use is read into, down to this. */
const LEAST_BYTES = 16 * 1024;

/** Takes the first `length` bytes. True: they are still in use, so their memory must not change. */
type Receive = (bytes: Uint8Array, length: number) => boolean;

/**
 * The members of a `net.Socket` that its option `onread` sets, which a socket that a server accepts cannot be given: the buffer, a callback
 * with the number of bytes read, and one that returns the buffer for the next read (`undefined`: the same).
 */
const ONREAD = ['kBuffer', 'kBufferCb', 'kBufferGen'] as const;

/**
 * Reads a socket into one buffer, over and over, unless its bytes are in use. Node would allocate 64 KB for each read, copy what arrived,
 * and pass it through a stream: a tenth of the CPU time of a call that arrives alone (docs/decisions/0077). So it is read where this cannot
 * be done.
 */
export function readInto(socket: Socket, receive: Receive): void {
  if (!reads(socket, receive)) socket.on('data', (chunk: Buffer) => void receive(chunk, chunk.length));
}

/** False: this Node has not the members that it needs. */
function reads(socket: Socket, receive: Receive): boolean {
  const handle = (socket as { readonly _handle?: { useUserBuffer?(buffer: Uint8Array): void } })._handle;
  const members = Object.getOwnPropertySymbols(socket);
  const [buffer, callback, nextBuffer] = ONREAD.map((name) => members.find(({ description }) => description === name));
  if (handle?.useUserBuffer === undefined || !buffer || !callback || !nextBuffer) return false;
  let current = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  let retained = 0;
  Object.assign(socket, {
    [buffer]: current,
    [callback]: (length: number) => {
      retained = receive(current, length) ? length : 0;
    },
    [nextBuffer]: () => {
      if (retained === 0) return undefined;
      const rest = current.length - retained;
      return (current = rest < LEAST_BYTES ? Buffer.allocUnsafeSlow(BUFFER_BYTES) : current.subarray(retained));
    },
  });
  handle.useUserBuffer(current);
  socket.resume(); // which a listener of 'data' would do
  return true;
}
