/**
 * The host's end of the channels to one handler: opened again whenever it goes, and moved to another channel when the other side sends this
 * one away: then calls that run end where they began, while new ones go to the new channel.
 * **In**: messages for the handler. **Out**: its messages.
 * **Fails**: to open the first time, with an {@link AdapterError}. Later the handler is away for a while: it is opened again with
 * exponential back-off and jitter.
 */
import { AdapterError } from '../errors.ts';
import { Unavailable } from '../contract.ts';
import { messageOf } from '../../text/message-of.ts';
import { Attachment, type AttachmentOptions } from './attachment.ts';
import type { Opened, ToHandler } from './protocol.ts';

export interface LinkOptions extends Omit<AttachmentOptions, 'leaving' | 'gone'> {
  /** Aborts opening. */
  readonly signal: AbortSignal | undefined;
  /** First back-off. */
  readonly restartAfterMs?: number | undefined;
  /** The longest back-off, but for its jitter. */
  readonly longestPauseMs: number;
  /** For a handler to close after it has moved. */
  readonly closeWithinMs: number;
  /** The handler is open, or open again; `on`: where calls go now. */
  readonly opened: (opened: Opened, on: Attachment) => void;
  /** The channel went, or could not be opened again. */
  readonly gone: (why: string) => void;
  /** A channel went with the calls that run on it. `wasSentAway`: the other side had announced it. */
  readonly cut: (on: Attachment, why: string, wasSentAway: boolean) => void;
}

const FIRST_PAUSE_MS = 100;
/** Open for this long, the handler counts as recovered: the next back-off is the first one again. */
const RECOVERED_AFTER_MS = 10_000;
/** A channel that is sent away sooner is one of a server that sends each of them away; it is not dialled in a loop. */
const MOVED_AT_ONCE_AFTER_MS = 500;
/** Channels with running calls that wait to be closed; of a server that sends channels away and never ends them. */
const MAX_LEFT = 4;

export class Link {
  /** Attempts to open it again. */
  restarts = 0;
  /** Why no call is sent; `undefined` while it is open, or is moving. */
  awayWhy: string | undefined = 'it is being opened';
  readonly #options: LinkOptions;
  #current: Attachment | undefined;
  /** Being opened. */
  #next: Attachment | undefined;
  /** Moved away from, with calls that run. */
  readonly #left = new Set<Attachment>();
  #pauseMs: number;
  #retry: NodeJS.Timeout | undefined;
  /** Ends the current attempt to open. */
  #attempt = new AbortController();
  #isClosing = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#pauseMs = options.restartAfterMs ?? FIRST_PAUSE_MS;
  }

  /** Whether calls are taken. */
  get isOpen(): boolean {
    return this.awayWhy === undefined;
  }

  /** Where calls are sent; `undefined` between two channels of a move. */
  get current(): Attachment | undefined {
    return this.#current;
  }

  /** The first time. If the other side is `Unavailable`, it counts as gone and is tried again. */
  async open(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      if (error instanceof Unavailable) return this.#gone(error.message);
      const { adapter, handler } = this.#options.open;
      const code = error instanceof AdapterError ? error.code : 'ADAPTER_OPEN_FAILED';
      throw new AdapterError(code, `[${adapter}/${handler}] ${messageOf(error)}`, { cause: error });
    }
  }

  /** Sends a message that is no call to the current channel, and to the next one during a move. */
  send(message: ToHandler): void {
    this.#current?.send(message);
    this.#next?.send(message);
  }

  /** Asks the handler to close, waits for it, then ends the channels. */
  async close(withinMs: number): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#retry);
    this.#attempt.abort();
    this.awayWhy = 'it is closed';
    const open = [...this.#left, ...(this.#current === undefined ? [] : [this.#current])];
    await Promise.all(open.map(async (one) => one.close(withinMs)));
    this.#current = undefined;
  }

  /** Opens a channel, which is the current one then. Rejects with a message that does not name the handler. */
  async #connect(): Promise<void> {
    const { signal } = this.#options;
    const attempt = (this.#attempt = new AbortController());
    const giveUp = AbortSignal.any(signal === undefined ? [attempt.signal] : [attempt.signal, signal]);
    const attachment = new Attachment({
      ...this.#options,
      leaving: (one) => this.#sentAway(one),
      gone: (one, why) => this.#lost(one, why),
    });
    this.#next = attachment;
    let opened: Opened;
    try {
      opened = await attachment.open(giveUp);
    } finally {
      this.#next = undefined;
    }
    if (this.#isClosing) return attachment.end('the handler is closed');
    const before = this.#current;
    this.#current = attachment;
    this.awayWhy = undefined;
    this.#options.opened(opened, attachment);
    if (before !== undefined) void this.#leave(before);
    if (attachment.isLeaving) this.#sentAway(attachment);
  }

  #sentAway(attachment: Attachment): void {
    if (attachment !== this.#current || this.#next !== undefined || this.#isClosing) return;
    const openForMs = performance.now() - attachment.openedAtMs;
    this.#recovered(openForMs);
    if (openForMs >= MOVED_AT_ONCE_AFTER_MS) void this.#move();
    else this.#later(() => void this.#move());
  }

  async #move(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      if (this.#isClosing) return;
      // The open channel serves until it ends.
      if (this.#current === undefined) this.#gone(messageOf(error));
      else this.#later(() => void this.#move());
    }
  }

  /** Ends it after its last call. */
  async #leave(attachment: Attachment): Promise<void> {
    this.#left.add(attachment);
    const [oldest] = this.#left;
    if (this.#left.size > MAX_LEFT && oldest !== undefined) {
      oldest.end('too many channels wait for their calls');
      this.#lost(oldest, 'it sends channels away and does not answer their calls');
    }
    await attachment.idle();
    await attachment.close(this.#options.closeWithinMs);
    this.#left.delete(attachment);
  }

  #lost(attachment: Attachment, why: string): void {
    this.#left.delete(attachment);
    const isCurrent = attachment === this.#current;
    if (isCurrent) this.#current = undefined;
    const isMoving = !isCurrent || (attachment.isLeaving && this.#next !== undefined);
    this.#options.cut(attachment, why, isMoving && !this.#isClosing);
    if (isMoving || this.#isClosing) return;
    this.#recovered(performance.now() - attachment.openedAtMs);
    this.#gone(why);
  }

  #gone(why: string): void {
    this.awayWhy = why;
    this.#later(() => void this.#reopen());
    this.#options.gone(why);
  }

  async #reopen(): Promise<void> {
    this.restarts++;
    try {
      await this.#connect();
    } catch (error) {
      if (!this.#isClosing) this.#gone(messageOf(error));
    }
  }

  #recovered(openForMs: number): void {
    if (openForMs >= RECOVERED_AFTER_MS) this.#pauseMs = this.#options.restartAfterMs ?? FIRST_PAUSE_MS;
  }

  #later(attempt: () => void): void {
    clearTimeout(this.#retry);
    const pauseMs = this.#pauseMs * (0.75 + Math.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#options.longestPauseMs);
    this.#retry = setTimeout(attempt, pauseMs).unref();
  }
}
