/**
 * The calls that a running server decides, as its admin port sends them.
 * **In**: the address of the admin port. **Out**: whole lines, in batches, until the signal is aborted; over a restart of the server.
 * **Fails**: with a {@link RecordRefused} if the server answers otherwise, or cannot be reached at first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { causeMessageOf } from '../../text/message-of.ts';
import { FORMAT_VERSION } from '../format.ts';

export class RecordRefused extends Error {}

export interface RecordedStreamOptions {
  /** `http://127.0.0.1:15014` */
  readonly base: string;
  /** Percent of the calls. */
  readonly share: number;
  readonly bodies: boolean;
  readonly signal: AbortSignal;
  readonly onBegin: () => void;
  /** The server went; and it is back, with the time that it was away. */
  readonly onAway: (why: string) => void;
  readonly onBack: (afterMs: number) => void;
}

const FIRST_BACK_OFF_MS = 250;
const MAX_BACK_OFF_MS = 10_000;
/** The server says something every 15 s. */
const SILENT_MS = 60_000;
const LF = 0x0a;

export async function* recordedStream(options: RecordedStreamOptions): AsyncGenerator<Buffer> {
  const { signal, onBegin, onAway, onBack } = options;
  let backOffMs = FIRST_BACK_OFF_MS;
  let awaySinceMs: number | undefined;
  let isFirst = true;
  while (!signal.aborted) {
    try {
      for await (const lines of connection(options)) {
        if (awaySinceMs !== undefined) onBack(performance.now() - awaySinceMs);
        awaySinceMs = undefined;
        backOffMs = FIRST_BACK_OFF_MS;
        if (isFirst) onBegin();
        isFirst = false;
        if (lines.length > 0) yield lines;
      }
      throw new Error('it ended the stream');
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RecordRefused || isFirst)
        throw error instanceof RecordRefused ? error : new RecordRefused(causeMessageOf(error), { cause: error });
      if (awaySinceMs === undefined) {
        awaySinceMs = performance.now();
        onAway(causeMessageOf(error));
      }
    }
    // ±20 % jitter, so that recorders do not return together.
    await sleep(backOffMs * (0.8 + Math.random() * 0.4), undefined, { signal }).catch(() => undefined);
    backOffMs = Math.min(backOffMs * 2, MAX_BACK_OFF_MS);
  }
}

/** The lines of one connection; first an empty batch, when it is known to be one of calls. */
async function* connection({ base, share, bodies, signal }: RecordedStreamOptions): AsyncGenerator<Buffer> {
  const query = new URLSearchParams({ share: String(share), ...(bodies ? { bodies: 'true' } : {}) });
  const silent = new AbortController();
  const timer = setTimeout(() => silent.abort(new Error(`it sent nothing for ${SILENT_MS / 1000} s`)), SILENT_MS);
  try {
    const reply = await fetch(`${base}/record?${query.toString()}`, {
      signal: AbortSignal.any([signal, silent.signal]),
    });
    if (!reply.ok || reply.body === null)
      throw new RecordRefused(`it answers ${reply.status}: ${(await reply.text()).trim()}`);
    let held: Buffer = Buffer.alloc(0);
    let isChecked = false;
    for await (const chunk of reply.body as unknown as AsyncIterable<Uint8Array>) {
      timer.refresh();
      const bytes = Buffer.concat([held, chunk]);
      const end = bytes.lastIndexOf(LF) + 1;
      held = bytes.subarray(end);
      const lines = bytes.subarray(0, end);
      if (!isChecked && end > 0) {
        requireCalls(lines);
        isChecked = true;
        yield NO_LINES;
        // The file has a first line of its own.
        yield lines.subarray(lines.indexOf(LF) + 1);
      } else yield withoutSigns(lines);
    }
  } finally {
    clearTimeout(timer);
  }
}

const NO_LINES = Buffer.alloc(0);

/** An empty line is a sign of life. */
const withoutSigns = (lines: Buffer): Buffer => (lines.length === 1 ? NO_LINES : lines);

function requireCalls(lines: Buffer): void {
  let first: unknown;
  try {
    first = JSON.parse(lines.toString('utf8', 0, lines.indexOf(LF)));
  } catch {
    first = undefined;
  }
  const { sluice, version } = (first ?? {}) as { readonly sluice?: unknown; readonly version?: unknown };
  if (sluice !== 'calls') throw new RecordRefused('what it answers are not recorded calls');
  if (version !== FORMAT_VERSION)
    throw new RecordRefused(
      `it sends version ${JSON.stringify(version)} of recorded calls, this one ${FORMAT_VERSION}`,
    );
}
