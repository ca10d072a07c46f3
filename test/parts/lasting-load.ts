/** Requests without pause, for as long as a test changes something; a request that is lost says why. */
import { get, type RequestOptions } from 'node:http';
import { expect } from 'vitest';
import type { EnvoyPart } from './envoy.ts';

export interface LoadAnswer {
  readonly status: number;
  /** Envoy's reason, where Envoy answers in place of the server. */
  readonly body: string;
}

export interface LastingLoad {
  /** Answers so far, by status; those other than 200 by Envoy's reason, too, and errors by their text. */
  readonly counts: Readonly<Record<string, number>>;
  /** Answers so far. */
  readonly answered: number;
  /** Ends when the last answer is there. */
  stop(): Promise<Readonly<Record<string, number>>>;
}

/** To one GET. */
export const answerOf = (options: RequestOptions): Promise<LoadAnswer> =>
  new Promise((resolve, reject) => {
    get(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject);
    }).on('error', reject);
  });

/** By so many clients at a time. `keyOf` counts answers apart that a test tells apart. */
export function lastingLoad<A extends LoadAnswer>(
  send: (client: number) => Promise<A>,
  { clients = 4, keyOf = ({ status }) => String(status) }: { clients?: number; keyOf?: (answer: A) => string } = {},
): LastingLoad {
  const counts: Record<string, number> = {};
  let answered = 0;
  let isOver = false;
  const running = Array.from({ length: clients }, async (_, client) => {
    while (!isOver) {
      const key = await send(client).then(
        (answer) => (answer.status === 200 ? keyOf(answer) : `${answer.status} ${answer.body.slice(0, 300)}`),
        (error: NodeJS.ErrnoException) => error.code ?? String(error),
      );
      counts[key] = (counts[key] ?? 0) + 1;
      answered++;
    }
  });
  return {
    counts,
    get answered() {
      return answered;
    },
    async stop() {
      isOver = true;
      await Promise.all(running);
      return counts;
    },
  };
}

/** Counters and gauges of Envoy from which the cause of a 5xx can be read. */
const TELLING =
  /cx_connect_fail|cx_connect_timeout|cx_destroy_\w+_with_active_rq|rq_(rx_reset|tx_reset|timeout|retry|5xx|pending_overflow|pending_failure_eject)|none_healthy|no_cluster|no_route|ssl\.(connection_error|fail_|no_certificate)|not_ready|update_(failure|rejected)|init_fetch_timeout|warming|draining/;

/** Ends the load, of which every answer was one of these; else says what the Envoys have counted and logged. */
export async function expectNoneLost(
  load: LastingLoad,
  envoys: Readonly<Record<string, EnvoyPart>>,
  { keys = ['200'], logged = () => [] }: { keys?: readonly string[]; logged?: () => readonly string[] } = {},
): Promise<void> {
  const counts = await load.stop();
  const isComplete = Object.keys(counts).every((key) => keys.includes(key));
  const why = isComplete ? [] : [...(await told(envoys)), 'Logged:', ...logged().slice(-50)];
  expect(Object.keys(counts).toSorted(), [JSON.stringify(counts), ...why].join('\n')).toEqual([...keys].toSorted());
}

async function told(envoys: Readonly<Record<string, EnvoyPart>>): Promise<readonly string[]> {
  return Promise.all(
    Object.entries(envoys).map(async ([name, envoy]) => {
      const stats = await envoy.stats().catch(() => ({}));
      const telling = Object.entries(stats).filter(([stat, value]) => value > 0 && TELLING.test(stat));
      return `${name}: ${telling.map(([stat, value]) => `${stat} ${value}`).join(', ')}\n${failuresIn(envoy.printed())}`;
    }),
  );
}

/** Of Envoy's output, lines of `failureLog` and warnings. */
const failuresIn = (printed: string): string => printed.trimEnd().split('\n').slice(-30).join('\n');
