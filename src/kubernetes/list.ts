/** Lists a resource in pages. */
import { messageOf } from '../text/message-of.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { type ApiConnection, ApiError, isExpired } from './api-connection.ts';
import { inSlices, SinkError, SLICE_MS } from './in-slices.ts';
import { ListItems } from './list-items.ts';
import { acceptOf, type KubeObject, type Resource } from './objects.ts';

export interface ListOptions {
  readonly pageSize: number;
  readonly signal: AbortSignal;
  readonly onPage: () => void;
  /** Waits before a page is requested again. */
  readonly pause: (error: unknown) => Promise<void>;
}

interface Page {
  readonly version: string;
  /** Of the next page; empty after the last one. */
  readonly token: string;
}

/** The server gives up a list after a minute. */
const SILENT_AFTER_MS = 60_000;
const TRIES_PER_PAGE = 5;
/** A list whose snapshot expires this often between pages is requested in one piece. */
const MAX_EXPIRED_LISTS = 2;

/** Puts all objects into the sink. Returns the resourceVersion from which to watch. */
export async function listAll(connection: ApiConnection, resource: Resource, options: ListOptions): Promise<string> {
  for (let expired = 0; ; expired++) {
    resource.sink.listing();
    const version = await pages(connection, resource, options, expired < MAX_EXPIRED_LISTS);
    if (version === undefined) continue;
    await endList(resource);
    return version;
  }
}

async function endList({ sink }: Resource): Promise<void> {
  const slice = new TimeSlice(SLICE_MS);
  try {
    for (const _ of sink.listed()) if (slice.isOver) await slice.next();
  } catch (error) {
    throw new SinkError(messageOf(error), { cause: error });
  }
}

/** `undefined` if the snapshot of the list expired between two pages. */
async function pages(
  connection: ApiConnection,
  resource: Resource,
  options: ListOptions,
  isPaged: boolean,
): Promise<string | undefined> {
  for (let token = '', tries = 1; ;) {
    const limit = isPaged ? { limit: String(options.pageSize) } : {};
    let page: Page;
    try {
      page = await onePage(connection, resource, token === '' ? limit : { ...limit, continue: token }, options.signal);
    } catch (error) {
      // The first page is for the caller to try again, with new credentials.
      if (token === '' || options.signal.aborted || error instanceof SinkError) throw error;
      if (isExpired(error)) return undefined;
      if (!mayPass(error) || tries++ === TRIES_PER_PAGE) throw error;
      await options.pause(error); // a list that begins again costs the server all pages again
      continue;
    }
    options.onPage();
    if (page.token === '') return page.version;
    if (page.token === token) throw new Error('the list does not end: its continue token is the same again');
    token = page.token;
    tries = 1;
  }
}

const mayPass = (error: unknown): boolean =>
  !(error instanceof ApiError) || error.status === 429 || error.status >= 500;

async function onePage(
  connection: ApiConnection,
  resource: Resource,
  page: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Page> {
  const { path, query, sink, maxObjectBytes, onOversized } = resource;
  const body = await connection.get(path, {
    query: { ...query, ...page },
    accept: acceptOf(resource, 'List'),
    signal,
    answerWithinMs: SILENT_AFTER_MS,
    silentAfterMs: SILENT_AFTER_MS,
  });
  const items = new ListItems(maxObjectBytes, onOversized);
  await inSlices(body, items, (text) => {
    const object = JSON.parse(text) as KubeObject;
    try {
      sink.put(object);
    } catch (error) {
      throw new SinkError(messageOf(error), { cause: error });
    }
  });
  const { metadata } = items.end();
  const version = metadata?.resourceVersion ?? '';
  if (version === '') throw new Error('the list has no resourceVersion, so the server is not a Kubernetes API server');
  return { version, token: metadata?.continue ?? '' };
}
