/**
 * The host's end of a channel, made again whenever it goes.
 * **In**: messages for the handler. **Out**: its messages; those of one turn of the event loop leave in one write.
 * **Fails**: to open the first time, with an {@link AdapterError}. Later the handler is away for a while: it is opened again with
 * exponential back-off and jitter.
 */
import { AdapterError, type AdapterErrorCode } from '../errors.ts';
import { Unavailable } from '../contract.ts';
import { openLate } from '../open-handler.ts';
import { messageOf } from '../../text/message-of.ts';
import { settlesWithin } from '../../time/settles-within.ts';
import type { Channel, ChannelEvents, FromHandler, Open, OpenChannel, Opened, ToHandler } from './protocol.ts';

export interface LinkOptions {
  readonly openChannel: OpenChannel;
  readonly open: Open;
  /** Aborts opening. */
  readonly signal: AbortSignal | undefined;
  /** First back-off. */
  readonly restartAfterMs?: number | undefined;
  /** The longest back-off, but for its jitter. */
  readonly longestPauseMs: number;
  /** What follows {@link Open} on each channel. */
  readonly replay: () => readonly ToHandler[];
  readonly received: (message: FromHandler) => void;
  /** The handler is open, or open again. */
  readonly opened: (opened: Opened) => void;
  /** The channel went, or could not be opened again. */
  readonly gone: (why: string) => void;
  /** A message that cannot be cloned or encoded, so it was not sent. */
  readonly unsendable: (message: ToHandler, error: unknown) => void;
}

const FIRST_PAUSE_MS = 100;
/** Open for this long, the handler counts as recovered: the next back-off is the first one again. */
const RECOVERED_AFTER_MS = 10_000;
/** Time for the messages of closing to pass. */
const CLOSE_SLACK_MS = 250;

export class Link {
  /** Attempts to open it again. */
  restarts = 0;
  /** Why no call is sent; `undefined` while it is open. */
  awayWhy: string | undefined = 'it is being opened';
  readonly #options: LinkOptions;
  #channel: Channel | undefined;
  #out: ToHandler[] = [];
  #pauseMs: number;
  #openedAtMs = 0;
  #retry: NodeJS.Timeout | undefined;
  /** Ends the current attempt to open. */
  #attempt = new AbortController();
  #failOpening: ((why: string) => void) | undefined;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#pauseMs = options.restartAfterMs ?? FIRST_PAUSE_MS;
  }

  get isOpen(): boolean {
    return this.awayWhy === undefined;
  }

  /** Whether messages can be sent: the channel is there, perhaps before the handler is open. */
  get isConnected(): boolean {
    return this.#channel !== undefined;
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

  send(message: ToHandler): void {
    if (this.#channel === undefined) return;
    if (this.#out.push(message) === 1) queueMicrotask(() => this.#flush());
  }

  /** Asks the handler to close, waits for it, then ends the channel. */
  async close(withinMs: number): Promise<void> {
    clearTimeout(this.#retry);
    this.#attempt.abort();
    this.#closing = Promise.withResolvers<void>();
    if (this.isOpen) {
      this.awayWhy = 'it is closed';
      this.send({ kind: 'close', withinMs });
      await settlesWithin(withinMs + CLOSE_SLACK_MS, this.#closing.promise);
    }
    this.awayWhy = 'it is closed';
    this.#channel?.end('the handler is closed');
    this.#channel = undefined;
  }

  #flush(): void {
    const messages = this.#out;
    this.#out = [];
    const channel = this.#channel;
    if (channel === undefined || messages.length === 0) return;
    try {
      channel.send(messages);
    } catch {
      for (const message of messages) {
        try {
          channel.send([message]);
        } catch (error) {
          if (message.kind === 'open') this.#failOpening?.(`its config cannot be passed on: ${messageOf(error)}`);
          else this.#options.unsendable(message, error);
        }
      }
    }
  }

  /** Opens a channel and the handler behind it. Rejects with a message that does not name them. */
  async #connect(): Promise<void> {
    const { openChannel, open, signal } = this.#options;
    const attempt = (this.#attempt = new AbortController());
    const { promise: answer, resolve, reject } = Promise.withResolvers<Opened>();
    answer.catch(() => undefined); // it may fail before it is awaited
    const fail = (why: string, code: AdapterErrorCode = 'ADAPTER_OPEN_FAILED'): void =>
      reject(new AdapterError(code, why));
    const late = setTimeout(() => fail(openLate(open.openWithinMs), 'ADAPTER_OPEN_LATE'), open.openWithinMs);
    const giveUp = AbortSignal.any(signal === undefined ? [attempt.signal] : [attempt.signal, signal]);
    const givenUp = (): void => fail('given up while opening');
    giveUp.addEventListener('abort', givenUp, { once: true });
    if (giveUp.aborted) givenUp();
    let channel: Channel | undefined;
    let isOver = false;
    const events: ChannelEvents = {
      received: (messages) => {
        for (const message of messages) {
          if (isOver) return;
          if (message.kind === 'opened') resolve(message);
          else if (message.kind === 'openFailed') fail(message.why, message.code);
          else this.#received(message);
        }
      },
      gone: (why, isAway = false) => {
        if (isOver) return;
        isOver = true;
        if (isAway) reject(new Unavailable(why));
        else fail(why);
        if (channel === undefined || this.#channel !== channel) return;
        this.#channel = undefined;
        if (this.isOpen || this.#closing !== undefined) this.#gone(why);
      },
    };
    try {
      const opening = openChannel(events, giveUp);
      opening.then((opened) => isOver && opened.end('given up while opening')).catch(() => undefined);
      channel = (await Promise.race([opening, answer])) as Channel; // the answer only fails before there is a channel
      if (isOver) await answer;
      this.#channel = channel;
      this.#failOpening = fail;
      this.#out = [open, ...this.#options.replay()];
      this.#flush();
      const opened = await answer;
      this.#openedAtMs = performance.now();
      this.awayWhy = undefined;
      this.#options.opened(opened);
    } catch (error) {
      isOver = true;
      if (this.#channel === channel) this.#channel = undefined;
      channel?.end(messageOf(error));
      throw error;
    } finally {
      clearTimeout(late);
      giveUp.removeEventListener('abort', givenUp);
    }
  }

  #received(message: FromHandler): void {
    if (message.kind === 'closed') this.#closing?.resolve();
    else this.#options.received(message);
  }

  #gone(why: string): void {
    if (this.#closing !== undefined) return this.#closing.resolve();
    if (this.isOpen && performance.now() - this.#openedAtMs >= RECOVERED_AFTER_MS)
      this.#pauseMs = this.#options.restartAfterMs ?? FIRST_PAUSE_MS;
    this.awayWhy = why;
    const pauseMs = this.#pauseMs * (0.75 + Math.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#options.longestPauseMs);
    this.#retry = setTimeout(() => void this.#reopen(), pauseMs).unref();
    this.#options.gone(why);
  }

  async #reopen(): Promise<void> {
    this.restarts++;
    try {
      await this.#connect();
    } catch (error) {
      this.#gone(messageOf(error));
    }
  }
}
