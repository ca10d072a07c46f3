/**
 * Live feeds of one engine: decided calls as lines of text, for readers at the admin port.
 * **In**: requests of a reader, again and again; its first opens the feed, and it closes {@link LEASE_MS} after the last.
 * **Out**: the lines since the last request, and how many calls were left out because they did not fit. **Fails**: never.
 *
 * A call pays for keeping its message, and only while a feed is open; lines are made in later turns of the event loop, in slices. A reader
 * that is slow or gone asks for nothing, so that it costs nothing after the lease.
 */
import type { FeedOptions, FeedPart, FeedRequest } from '../../admin/sources.ts';
import type { DecidedCall } from '../../core/history/observers.ts';
import { callBytes } from '../../core/history/verdict-size.ts';
import type { RunningEngine } from '../../core/running-engine.ts';
import { lineOf as recordedLineOf } from '../../traffic/write-call.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import { LiveLines } from './live-lines.ts';

/** A decided call that waits for its line. */
export interface FedCall {
  readonly decided: DecidedCall;
  /** When it was decided, in milliseconds since 1970. */
  readonly timeMs: number;
}

/** Makes the line of a call; `undefined` if the feed's filter excludes it. One that throws is counted as left out. */
export type LineOf = (call: FedCall) => string | undefined;

const LEASE_MS = 5000;
/** Of one feed between two requests: calls whose lines are not made yet, and lines that wait for the reader. */
const MAX_CALLS = { count: 1000, bytes: 4 * 1024 * 1024 };
const MAX_LINES = { count: 4000, characters: 4 * 1024 * 1024 };
/** Readers of all kinds; the admin port admits fewer. */
const MAX_FEEDS = 16;

export class Feeds {
  readonly #engine: Pick<RunningEngine, 'observe'>;
  readonly #live: LiveLines;
  readonly #open = new Map<string, Feed>();

  /** `worker`: its number, which each line names. */
  constructor(engine: Pick<RunningEngine, 'observe'>, worker: number) {
    this.#engine = engine;
    this.#live = new LiveLines(worker);
  }

  ask(request: FeedRequest): FeedPart {
    const { id } = request;
    const known = this.#open.get(id);
    if (request.isLast === true) {
      known?.expire();
      return { lines: [], dropped: 0, isNew: false };
    }
    if (known !== undefined) return known.take();
    if (this.#open.size >= MAX_FEEDS) return { lines: [], dropped: 0, isNew: true };
    const feed = new Feed(this.#lineOf(request));
    const share = request.kind === 'record' ? request.share : 100;
    const stop = this.#engine.observe((decided) => {
      if (share >= 100 || Math.random() * 100 < share) feed.offer(decided);
    });
    feed.onExpired = () => {
      stop();
      this.#open.delete(id);
    };
    this.#open.set(id, feed);
    return { ...feed.take(), isNew: true };
  }

  #lineOf(options: FeedOptions): LineOf {
    if (options.kind === 'live') return (call) => this.#live.lineOf(call, options.filter);
    return ({ decided, timeMs }) => {
      const line = recordedLineOf(decided, { timeMs, bodies: options.bodies });
      if (line === undefined) throw new Error('the call is too large for a line');
      return line;
    };
  }

  close(): void {
    for (const feed of this.#open.values()) feed.expire();
  }
}

class Feed {
  onExpired: (() => void) | undefined;
  readonly #lineOf: LineOf;
  readonly #lease: NodeJS.Timeout;
  #waiting: (FedCall & { readonly bytes: number })[] = [];
  #count = 0;
  #bytes = 0;
  #lines: string[] = [];
  #characters = 0;
  #dropped = 0;
  #isWriting = false;
  #isExpired = false;

  constructor(lineOf: LineOf) {
    this.#lineOf = lineOf;
    this.#lease = setTimeout(() => this.expire(), LEASE_MS).unref();
  }

  /** Called before the answer leaves. */
  offer(decided: DecidedCall): void {
    const [bag] = decided.bags;
    if (bag === undefined) return;
    const { wire } = bag; // the descriptors of a limit call are parts of one message
    const bytes = callBytes(decided);
    if (this.#count >= MAX_CALLS.count || this.#bytes + bytes > MAX_CALLS.bytes) {
      this.#dropped++;
      return;
    }
    wire.keep();
    this.#count++;
    this.#bytes += bytes;
    this.#waiting.push({ decided, bytes, timeMs: Date.now() });
    if (this.#isWriting) return;
    this.#isWriting = true;
    void this.#writeAll();
  }

  take(): FeedPart {
    this.#lease.refresh();
    const part = { lines: this.#lines, dropped: this.#dropped, isNew: false };
    this.#lines = [];
    this.#characters = 0;
    this.#dropped = 0;
    return part;
  }

  expire(): void {
    this.#isExpired = true;
    clearTimeout(this.#lease);
    this.onExpired?.();
  }

  async #writeAll(): Promise<void> {
    const slice = new TimeSlice();
    await slice.next();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      for (const call of batch) {
        if (this.#isExpired) return;
        this.#count--;
        this.#bytes -= call.bytes;
        this.#write(call);
        if (slice.isOver) await slice.next();
      }
    }
    this.#isWriting = false;
  }

  #write(call: FedCall): void {
    if (this.#lines.length >= MAX_LINES.count || this.#characters >= MAX_LINES.characters) {
      this.#dropped++;
      return;
    }
    let line: string | undefined;
    try {
      line = this.#lineOf(call);
    } catch {
      this.#dropped++;
      return;
    }
    if (line === undefined) return;
    this.#characters += line.length;
    this.#lines.push(line);
  }
}
