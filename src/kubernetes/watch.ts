/** Watches a resource from a resourceVersion on. */
import { messageOf } from '../text/message-of.ts';
import { type ApiConnection, apiError, SilentServer } from './api-connection.ts';
import { inSlices, SinkError } from './in-slices.ts';
import { Lines } from './lines.ts';
import { acceptOf, type KubeObject, type Resource } from './objects.ts';

export interface WatchOptions {
  readonly version: string;
  /** The server is asked to end the watch after this time. */
  readonly forMs: number;
  readonly silentAfterMs: number;
  readonly signal: AbortSignal;
  readonly onOpen: () => void;
  /** After each event, with the version from which to watch on. */
  readonly onEvent: (version: string, type: string) => void;
}

/** An event was lost, so watching on would miss it: the resource must be listed again. */
export class LostEvent extends Error {}

interface WatchEvent {
  readonly type?: unknown;
  readonly object?: KubeObject & { readonly code?: unknown; readonly message?: unknown };
}

export interface WatchEnd {
  /** Bookmarks included. */
  readonly events: number;
  /** Nothing arrived for `silentAfterMs`; else the server ended the watch, as it does at its time. */
  readonly isSilent: boolean;
}

/** A watch is answered at once; only its events may take long. */
const ANSWER_WITHIN_MS = 30_000;

/** Rejects with the cause; with an ApiError 410 if the version is too old, with {@link LostEvent} after bytes that cannot be read. */
export async function watchFrom(
  connection: ApiConnection,
  resource: Resource,
  options: WatchOptions,
): Promise<WatchEnd> {
  const { path, query, maxObjectBytes, onOversized } = resource;
  const { version, forMs, silentAfterMs, signal, onOpen, onEvent } = options;
  const body = await connection.get(path, {
    query: {
      ...query,
      watch: '1',
      resourceVersion: version,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(Math.max(1, Math.round(forMs / 1000))),
    },
    accept: acceptOf(resource),
    signal,
    answerWithinMs: Math.min(ANSWER_WITHIN_MS, silentAfterMs),
    silentAfterMs,
  });
  onOpen();
  let events = 0;
  const ended = inSlices(body, new Lines(maxObjectBytes, onOversized), (line) => {
    const { type, object, next } = read(line);
    try {
      if (type === 'DELETED') resource.sink.remove(object);
      else if (type !== 'BOOKMARK') resource.sink.put(object);
    } catch (error) {
      throw new SinkError(messageOf(error), { cause: error });
    }
    events++;
    onEvent(next, type);
  });
  return ended.then(
    () => ({ events, isSilent: false }),
    (error: unknown) => {
      if (error instanceof SilentServer) return { events, isSilent: true };
      throw error;
    },
  );
}

const TYPES: ReadonlySet<unknown> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']);

function read(line: string): { readonly type: string; readonly object: KubeObject; readonly next: string } {
  let event: WatchEvent | null;
  try {
    event = JSON.parse(line) as WatchEvent | null;
  } catch (error) {
    throw new LostEvent(`the watch sent a line that is not JSON: ${JSON.stringify(line.slice(0, 60))}`, {
      cause: error,
    });
  }
  const { type, object } = event ?? {};
  if (type === 'ERROR') {
    const { code, message } = object ?? {};
    throw apiError(typeof code === 'number' ? code : 500, typeof message === 'string' ? message : '');
  }
  const next = object?.metadata?.resourceVersion;
  if (object === undefined || typeof next !== 'string' || next === '' || typeof type !== 'string' || !TYPES.has(type))
    throw new LostEvent(`the watch sent an event that cannot be read: ${JSON.stringify(line.slice(0, 60))}`);
  return { type, object, next };
}
