/** Counters and metrics pages of plugins, for /metrics. */
import { settlesWithin } from '../time/settles-within.ts';
import { kindOf } from '../text/kind-of.ts';
import { messageOf } from '../text/message-of.ts';
import { type SecretTexts, NO_SECRETS } from '../text/secret-texts.ts';
import type { Counter, Host, Log, PageText } from './contract.ts';
import { boundedText } from './log/bounded-fields.ts';
import { boundedLines, PAGE_BOUNDS, type PageBounds, PageRoom } from './page-lines.ts';

export interface PluginMetrics {
  /**
   * The metrics of one open handler. `withdraw` removes its pages, and its counters and kept values unless a handler of the same name is
   * open, since a reload must not reset them.
   */
  forHandler(handler: string, secrets?: SecretTexts): Host['metrics'] & { withdraw(): void };
  /** Prometheus text format, in pieces; of a page that fails, the rest is omitted, and logged. */
  pieces(): AsyncIterable<string>;
  /** The pieces in one string. */
  render(): Promise<string>;
}

/** Marks a page of which a part failed: series that are missing from it still exist. */
export const INCOMPLETE = '# INCOMPLETE';

export type RenderPage = () => PageText | Promise<PageText>;

const NAME = /^[a-z][a-z0-9_]*$/;

export const isCounterName = (name: string): boolean => NAME.test(name);

export function checkCounterName(name: string): void {
  if (!isCounterName(name)) throw new Error(`the counter's name "${name}" is not in snake_case`);
}

/**
 * A counter of a plugin, which may say anything: Prometheus takes one that falls for a restart, and adds all of it again. `refused` is
 * called for the first wrong amount of a handler.
 */
export const checkedCounter = (add: (amount: number) => void, refused: (amount: unknown) => void): Counter => ({
  add: (amount: unknown = 1) => {
    if (typeof amount === 'number' && amount >= 0 && amount < Infinity) add(amount);
    else refused(amount);
  },
});

export const shownAmount = (amount: unknown): string => (typeof amount === 'number' ? String(amount) : kindOf(amount));

export const WRONG_AMOUNT =
  'error in a plugin: it adds to a counter what is no number from 0, which is not counted; ' +
  'a value that falls is a gauge, on a page of its own';

/** The rest of the metrics page does not wait longer for the next piece of a handler. */
const PIECE_WITHIN_MS = 3000;

/** A page in pieces; its last line is ended, also if the page fails in the middle. */
export async function* piecesOf(render: RenderPage, withinMs = PIECE_WITHIN_MS): AsyncGenerator<string> {
  async function inTime<T>(work: T | Promise<T>): Promise<T> {
    if (!(work instanceof Promise) || (await settlesWithin(withinMs, work))) return work;
    throw new Error(`nothing came for ${withinMs} ms`);
  }
  let last = '\n';
  let pieces: AsyncIterator<string> | undefined;
  try {
    const page: unknown = await inTime(render());
    if (typeof page === 'string') {
      if (page !== '') yield (last = page);
    } else {
      if (!isAsyncIterable(page))
        throw new Error(`its page is ${kindOf(page)}; it returns a text, or texts by async function*`);
      pieces = page[Symbol.asyncIterator]() as AsyncIterator<string>;
      for (let next = await inTime(pieces.next()); next.done !== true; next = await inTime(pieces.next())) {
        if (typeof next.value !== 'string')
          throw new Error(`a piece of its page is ${kindOf(next.value)}, and no text`);
        if (next.value !== '') yield (last = next.value);
      }
    }
  } catch (error) {
    if (!last.endsWith('\n')) yield '\n';
    throw error;
  } finally {
    void pieces?.return?.()?.catch(() => undefined); // not awaited: it ends after the piece that is late
  }
  if (!last.endsWith('\n')) yield '\n';
}

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

export async function joined(pieces: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

/** Characters; a plugin in JavaScript may leave it out. */
const MAX_HELP = 1024;

/** Counters of one handler: a plugin that puts a value of a request into a name would fill the memory and the page. */
export const MAX_COUNTERS = 200;

const TOO_MANY =
  `error in a plugin: it has more than ${MAX_COUNTERS} counters, and the others count nothing; ` +
  'a name must not depend on the request';
const UNCOUNTED: Counter = { add() {} };

interface Opening {
  readonly pages: RenderPage[];
  readonly secrets: SecretTexts;
  /** Counts series that a page could not show; created on first use. */
  readonly dropped: () => Counter;
  /** The problem of the page at the last scrape, so that it is logged once and not at each scrape. */
  why: string | undefined;
}

const TOO_LARGE = 'error in a plugin: its metrics page is too large, and the rest of it is left out';

const DROPPED_SERIES = 'Series of a metrics page beyond its bounds: 500 000 series or 64 MiB of a handler.';

/** `bounds`: of the pages of each handler. */
export function createPluginMetrics(log: Log, bounds: PageBounds = PAGE_BOUNDS): PluginMetrics {
  const counters = new Map<string, { readonly help: string; readonly values: Map<string, number> }>();
  /** Pages by handler, newest last; during a reload two are open, and the newest is shown. */
  const openings = new Map<string, Opening[]>();

  /** By handler. */
  const kept = new Map<string, Map<string, unknown>>();

  function counter(handler: string, given: string, help: string, refused: (amount: unknown) => void): Counter {
    checkCounterName(given);
    const name = given.replace(/_total$/, ''); // Prometheus's own habit; it is added below
    let family = counters.get(name);
    if (family === undefined) counters.set(name, (family = { help: boundedText(help, MAX_HELP), values: new Map() }));
    const { values } = family;
    if (!values.has(handler)) values.set(handler, 0);
    return checkedCounter((amount) => {
      const value = values.get(handler);
      if (value !== undefined) values.set(handler, value + amount); // else the handler is closed
    }, refused);
  }

  /** Beside the counters of the plugin itself, and not among their number. */
  const ofHost = (handler: string): Pick<Host['metrics'], 'counter'> => ({
    counter: (name, help) => counter(handler, name, help, () => undefined),
  });

  async function* pagesOf(handler: string, opening: Opening): AsyncGenerator<string> {
    const { pages, secrets, dropped } = opening;
    const room = new PageRoom(bounds);
    let why: string | undefined;
    for (const render of pages) {
      try {
        yield* boundedLines(piecesOf(render), room, secrets);
      } catch (error) {
        why = secrets.text(messageOf(error));
        if (why !== opening.why)
          log.warn('the metrics page of a handler failed and is left out', { handler, error: secrets.value(error) });
        yield `${INCOMPLETE}\n`;
      }
    }
    if (room.droppedSeries > 0) {
      dropped().add(room.droppedSeries);
      if (opening.why !== TOO_LARGE) log.error(TOO_LARGE, { handler, droppedSeries: room.droppedSeries, ...bounds });
      why = TOO_LARGE;
      yield `${INCOMPLETE}\n`;
    }
    opening.why = why;
  }

  async function* pieces(): AsyncGenerator<string> {
    for (const [name, { help, values }] of counters) {
      const full = `sluice_plugin_${name}_total`;
      const lines = [...values].map(([handler, value]) => `${full}{handler="${escaped(handler)}"} ${value}\n`);
      yield `# HELP ${full} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${full} counter\n${lines.join('')}`;
    }
    for (const [handler, stack] of openings) {
      const newest = stack.at(-1);
      if (newest !== undefined) yield* pagesOf(handler, newest);
    }
  }

  return {
    forHandler(handler, secrets = NO_SECRETS) {
      const pages: RenderPage[] = [];
      const opening: Opening = {
        pages,
        secrets,
        dropped: () => ofHost(handler).counter('dropped_series', DROPPED_SERIES),
        why: undefined,
      };
      const names = new Set<string>();
      let isRefused = false;
      let hasTooMany = false;
      const stack = openings.get(handler) ?? [];
      openings.set(handler, stack);
      stack.push(opening);
      return {
        counter: (name, help) => {
          if (names.size >= MAX_COUNTERS && !names.has(name)) {
            if (!hasTooMany) log.error(TOO_MANY, { handler, counter: boundedText(name, MAX_HELP) });
            hasTooMany = true;
            return UNCOUNTED;
          }
          const made = counter(handler, name, help, (amount) => {
            if (!isRefused) log.error(WRONG_AMOUNT, { handler, counter: name, amount: shownAmount(amount) });
            isRefused = true;
          });
          names.add(name);
          return made;
        },
        page: (render) => {
          pages.push(render);
        },
        kept: <T>(name: string, make: () => T) => {
          let values = kept.get(handler);
          if (values === undefined) kept.set(handler, (values = new Map()));
          if (!values.has(name)) values.set(name, make());
          return values.get(name) as T;
        },
        withdraw() {
          const at = stack.indexOf(opening);
          if (at >= 0) stack.splice(at, 1);
          if (stack.length > 0 || openings.get(handler) !== stack) return;
          openings.delete(handler);
          kept.delete(handler);
          for (const [name, { values }] of counters)
            if (values.delete(handler) && values.size === 0) counters.delete(name);
        },
      };
    },
    pieces,
    render: () => joined(pieces()),
  };
}

const escaped = (label: string): string =>
  label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
