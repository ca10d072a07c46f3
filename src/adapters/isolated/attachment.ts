/**
 * One channel with the handler behind it, from its opening to its end.
 * **In**: messages for the handler. **Out**: its messages; those of one turn of the event loop leave in one write.
 * **Fails**: to open with an {@link AdapterError}, or as `Unavailable` if the other side cannot be asked now. Later it is `gone`, once.
 */
import { AdapterError, type AdapterErrorCode } from '../errors.ts';
import { Unavailable } from '../contract.ts';
import { openLate } from '../open-handler.ts';
import { messageOf } from '../../text/message-of.ts';
import { settlesWithin } from '../../time/settles-within.ts';
import type { Channel, ChannelEvents, FromHandler, Open, OpenChannel, Opened, ToHandler } from './protocol.ts';

export interface AttachmentOptions {
  readonly openChannel: OpenChannel;
  readonly open: Open;
  /** What follows {@link Open}. */
  readonly replay: () => readonly ToHandler[];
  readonly received: (message: FromHandler, from: Attachment) => void;
  /** The other side takes no new channels on this connection, and ends this one some time. */
  readonly leaving: (attachment: Attachment) => void;
  /** The channel went after it was open, and not by {@link Attachment.end}. */
  readonly gone: (attachment: Attachment, why: string) => void;
  /** A message that cannot be cloned or encoded, so it was not sent. */
  readonly unsendable: (message: ToHandler, error: unknown) => void;
}

/** Time for the messages of closing to pass. */
const CLOSE_SLACK_MS = 250;

export class Attachment {
  openedAtMs = 0;
  isLeaving = false;
  /** Why the handler is not ready; `undefined`: it is. */
  notReady: string | undefined;
  readonly #options: AttachmentOptions;
  #channel: Channel | undefined;
  #out: ToHandler[] = [];
  #isOpen = false;
  #isOver = false;
  #failOpening: ((why: string) => void) | undefined;
  #closing: Promise<void> | undefined;
  readonly #closed = Promise.withResolvers<void>();
  #running = 0;
  #whenIdle: (() => void) | undefined;

  constructor(options: AttachmentOptions) {
    this.#options = options;
  }

  /** Opens the channel and the handler behind it. Rejects with a message that does not name them. */
  async open(signal: AbortSignal): Promise<Opened> {
    const { openChannel, open, replay } = this.#options;
    const { promise: answer, resolve, reject } = Promise.withResolvers<Opened>();
    answer.catch(() => undefined); // it may fail before it is awaited
    const fail = (why: string, code: AdapterErrorCode = 'ADAPTER_OPEN_FAILED'): void =>
      reject(new AdapterError(code, why));
    const late = setTimeout(() => fail(openLate(open.openWithinMs), 'ADAPTER_OPEN_LATE'), open.openWithinMs);
    const givenUp = (): void => fail('given up while opening');
    signal.addEventListener('abort', givenUp, { once: true });
    if (signal.aborted) givenUp();
    try {
      const opening = openChannel(this.#events(resolve, reject, fail), signal);
      opening.then((channel) => this.#isOver && channel.end('given up while opening')).catch(() => undefined);
      this.#channel = (await Promise.race([opening, answer])) as Channel; // the answer only fails before there is a channel
      if (this.#isOver) await answer;
      this.#failOpening = fail;
      this.#out = [open, ...replay()];
      this.#flush();
      const opened = await answer;
      if (this.#isOver) throw new Unavailable('it ended while it was opened');
      this.openedAtMs = performance.now();
      this.#isOpen = true;
      return opened;
    } catch (error) {
      this.end(messageOf(error));
      throw error;
    } finally {
      clearTimeout(late);
      signal.removeEventListener('abort', givenUp);
    }
  }

  /** Does nothing once it is over. */
  send(message: ToHandler): void {
    if (this.#isOver || this.#channel === undefined) return; // what is prepared before it is connected is in the replay
    if (this.#out.push(message) === 1) queueMicrotask(() => this.#flush());
  }

  /** A call was sent on it. */
  callBegan(): void {
    this.#running++;
  }

  /** It was answered, or is no longer waited for. */
  callEnded(): void {
    if (--this.#running === 0) this.#whenIdle?.();
  }

  /** Settles when no call is running. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenIdle = resolve;
    return promise;
  }

  /** Asks the handler to close, waits for it, then ends the channel. */
  close(withinMs: number): Promise<void> {
    return (this.#closing ??= this.#close(withinMs));
  }

  /** At once, without `gone`. Idempotent. */
  end(why: string): void {
    this.#isOver = true;
    this.#closed.resolve();
    this.#channel?.end(why);
  }

  async #close(withinMs: number): Promise<void> {
    this.send({ kind: 'close', withinMs });
    if (!this.#isOver) await settlesWithin(withinMs + CLOSE_SLACK_MS, this.#closed.promise);
    this.end('the handler is closed');
  }

  #events(
    opened: (message: Opened) => void,
    failed: (why: Error) => void,
    fail: (why: string, code?: AdapterErrorCode) => void,
  ): ChannelEvents {
    return {
      received: (messages) => {
        for (const message of messages) {
          if (this.#isOver) return;
          if (message.kind === 'opened') opened(message);
          else if (message.kind === 'openFailed') fail(message.why, message.code);
          else if (message.kind === 'closed') this.#closed.resolve();
          else if (message.kind === 'readiness') this.notReady = message.ready ? undefined : (message.why ?? NOT_READY);
          else this.#options.received(message, this);
        }
      },
      leaving: () => {
        if (this.#isOver || this.isLeaving) return;
        this.isLeaving = true;
        this.#options.leaving(this);
      },
      gone: (why, isAway = false) => {
        if (this.#isOver) return;
        this.#isOver = true;
        this.#closed.resolve();
        if (isAway) failed(new Unavailable(why));
        else fail(why);
        if (this.#isOpen) this.#options.gone(this, why);
      },
    };
  }

  #flush(): void {
    const messages = this.#out;
    this.#out = [];
    const channel = this.#channel;
    if (channel === undefined || this.#isOver || messages.length === 0) return;
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
}

const NOT_READY = 'it reports that it is not ready';
