import type { Limits } from '../limits.ts';
import { ConnectionError, ErrorCode } from './frames.ts';
import type { Output } from './output.ts';

export const CONNECTION_WINDOW_BYTES: number = 4 * 1024 * 1024;

/** The receive window of a connection. It gives no more credit while too many received bytes are held in memory. */
export class ReceiveWindow {
  readonly #limits: Limits;
  readonly #output: Output;
  #leftBytes = CONNECTION_WINDOW_BYTES;
  /** Received bytes for which the peer has no credit yet. */
  #creditBytes = 0;
  #heldBytes = 0;

  constructor(limits: Limits, output: Output) {
    this.#limits = limits;
    this.#output = output;
  }

  /** Throws a {@link ConnectionError} if the peer exceeds its window. */
  receive(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes < 0)
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'more DATA than the window of the connection allows');
    this.#creditBytes += bytes;
  }

  /** Counts bytes that a stream holds in memory, negative when it releases them. False: more than the connection may hold. */
  hold(bytes: number): boolean {
    this.#heldBytes += bytes;
    return this.#heldBytes <= this.#limits.maxUnpackedBytes;
  }

  /** Opens the window again if it is due. True: a frame must be sent. */
  open(): boolean {
    if (this.#creditBytes < CONNECTION_WINDOW_BYTES / 2 || this.#heldBytes > this.#limits.maxHeldBytes) return false;
    this.#leftBytes += this.#creditBytes;
    this.#output.windowUpdate(0, this.#creditBytes);
    this.#creditBytes = 0;
    return true;
  }
}
