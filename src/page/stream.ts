/**
 * Decisions as they happen.
 * **In**: filters. **Out**: the newest rows, in batches, one per frame. **Fails**: by connecting again after a while; a refused filter with
 * the reason of the server.
 */
import { signal } from '@preact/signals';
import type { Decision } from './api.ts';
import { ask, backOffMs, errorOf, heard, HttpError, Silence } from './server.ts';
import { seen, Unseen } from './unseen.ts';

const MAX_ROWS = 500;
/** The server says at least every 15 s that it lives. */
const SILENT_MS = 40_000;
/** A browser has six connections to a server for all its tabs; a stream that nobody sees gives its own back. */
const UNSEEN_MS = 60_000;
/** Names of locks: so many tabs have a stream at once, which leaves two connections for what all of them ask. */
const PLACES = ['1', '2', '3', '4'];

export type StreamState =
  | { readonly state: 'connecting' | 'live' }
  /** `why`: the server's reason; `undefined` if it did not answer. */
  | { readonly state: 'waiting'; readonly why: string | undefined }
  | { readonly state: 'refused' | 'missing'; readonly why: string };

export class DecisionStream {
  readonly rows = signal<readonly Decision[]>([]);
  readonly state = signal<StreamState>({ state: 'connecting' });
  readonly isPaused = signal(false);
  /** Decisions that arrived while paused. */
  readonly held = signal(0);
  /** Decisions that this reader missed, since it or the server was busy. */
  readonly missed = signal(0);
  readonly #query: string;
  readonly #ended = new AbortController();
  /** Lines of JSON, the oldest first; parsed when they are shown. */
  #pending: string[] = [];
  #frame = 0;

  constructor(query: string) {
    this.#query = query;
    void this.#run();
  }

  close(): void {
    this.#ended.abort();
    cancelAnimationFrame(this.#frame);
  }

  pause(isPaused: boolean): void {
    this.isPaused.value = isPaused;
    if (!isPaused) this.#show();
  }

  async #run(): Promise<void> {
    const { signal: ended } = this.#ended;
    for (let failures = 0; !ended.aborted; failures++) {
      await seen(ended);
      if (ended.aborted) return;
      const silence = new Silence(SILENT_MS);
      const unseen = new Unseen(UNSEEN_MS);
      const either = AbortSignal.any([ended, silence.signal, unseen.signal]);
      let why: string | undefined;
      try {
        if (this.rows.value.length === 0) await this.#loadKept(either);
        await inPlace(async () => {
          const response = await fetch(`/verdicts/stream?${this.#query}`, {
            headers: { accept: 'text/event-stream' },
            signal: either,
          });
          if (!response.ok) throw new HttpError(response.status, await errorOf(response));
          failures = 0;
          this.state.value = { state: 'live' };
          await this.#read(response, silence);
        });
      } catch (error) {
        if (ended.aborted) return;
        if (error instanceof HttpError && error.status < 500) {
          this.state.value = { state: error.status === 404 ? 'missing' : 'refused', why: error.message };
          return;
        }
        if (error instanceof HttpError) why = error.message;
      } finally {
        silence.over();
        unseen.over();
      }
      this.state.value = { state: 'waiting', why };
      if (unseen.signal.aborted) failures = -1; // it is asked again at once when the page is seen
      else
        await new Promise((resolve) => {
          setTimeout(resolve, backOffMs(failures));
        });
    }
  }

  /** So that a quiet server shows its last refusals. */
  async #loadKept(signal: AbortSignal): Promise<void> {
    const { verdicts } = await ask<{ verdicts: readonly Decision[] }>(`/verdicts?${this.#query}`, { signal });
    this.rows.value = verdicts;
  }

  async #read(response: Response, silence: Silence): Promise<void> {
    if (response.body === null) return;
    let rest = '';
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      silence.broken();
      heard();
      const events = (rest + text).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) this.#take(event);
      this.#pending.splice(0, this.#pending.length - MAX_ROWS);
      if (this.#pending.length > 0 && this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#show());
    }
  }

  #take(event: string): void {
    const data = /^data: (.*)$/m.exec(event)?.[1];
    if (data === undefined) return;
    if (event.startsWith('event: verdict')) {
      this.#pending.push(data);
      if (this.isPaused.value) this.held.value++;
    } else if (event.startsWith('event: skipped')) {
      const { count } = JSON.parse(data) as { count: number | null };
      this.missed.value += count ?? 1;
    }
  }

  #show(): void {
    this.#frame = 0;
    if (this.isPaused.value) return;
    this.held.value = 0;
    const fresh = this.#pending.map((line) => JSON.parse(line) as Decision).toReversed();
    this.#pending = [];
    if (fresh.length === 0) return;
    const known = new Set(fresh.map(({ id }) => id));
    // a kept decision may come again by the stream
    const before =
      this.rows.value.length > MAX_ROWS - fresh.length
        ? this.rows.value
        : this.rows.value.filter(({ id }) => !known.has(id));
    this.rows.value = [...fresh, ...before].slice(0, MAX_ROWS);
  }
}

/** Throws if other tabs have all places. A page that came by http from another machine has no locks. */
async function inPlace(read: () => Promise<void>): Promise<void> {
  const { locks } = navigator as { locks?: LockManager };
  if (locks === undefined) return read();
  for (const name of PLACES) {
    const hasRead = await locks.request(name, { ifAvailable: true }, async (lock) => {
      if (lock !== null) await read();
      return lock !== null;
    });
    if (hasRead) return undefined;
  }
  throw new HttpError(503, `${PLACES.length} other tabs are live; close one of them`);
}
