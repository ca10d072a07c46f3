/** A fake Kubernetes API server, over real HTTPS: lists in pages, watches with bookmarks, and on demand what a real one does rarely. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { json } from 'node:stream/consumers';
import { isDeepStrictEqual } from 'node:util';
import { TLS } from '../unit/transport/tls-of-tests.ts';

export interface FakeObject {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage['headers'];
}

/** Answers one request in place of the server. */
export type FakeAnswer = (response: ServerResponse, request: FakeRequest) => void;

interface Change {
  readonly version: number;
  readonly before: FakeObject | undefined;
  readonly after: FakeObject | undefined;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly request: FakeRequest;
  sent: number;
}

export const answers =
  (status: number, message = 'because', headers: Record<string, string> = {}): FakeAnswer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ kind: 'Status', status: 'Failure', message, code: status }));
  };

/** On a free port, or on that of one that was stopped. */
export async function startFakeKubeApi(port = 0): Promise<FakeKubeApi> {
  const api = new FakeKubeApi();
  await api.listen(port);
  return api;
}

export class FakeKubeApi {
  readonly ca = TLS.cert;
  readonly requests: FakeRequest[] = [];
  /** Required of each request, if set. */
  token: string | undefined;
  /** Each answers one of the next requests, in order. */
  readonly next: FakeAnswer[] = [];
  /** Answers requests for which it returns something. */
  always: (request: FakeRequest) => FakeAnswer | undefined = () => undefined;
  /** After each answer to a server-side apply. */
  onApplied: () => void = () => undefined;
  /** Custom resources: by version the plural of each kind. */
  readonly served = new Map<string, Readonly<Record<string, string>>>();
  /** Events and bookmarks are held back, as by a hung server. */
  isFrozen = false;
  #version = 100;
  #oldest = 0;
  /** By resource: `pods`. */
  readonly #objects = new Map<string, Map<string, FakeObject>>();
  readonly #changes = new Map<string, Change[]>();
  readonly #watchers = new Set<Watcher>();
  readonly #sockets = new Set<Socket>();
  readonly #snapshots = new Map<string, { items: FakeObject[]; version: number }>();
  #snapshot = 0;
  #port = 0;
  readonly #server = createServer({ cert: TLS.cert, key: TLS.key }, (request, response) =>
    this.#answer(request, response),
  );

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }
  get port(): number {
    return this.#port;
  }
  get watching(): number {
    return this.#watchers.size;
  }
  lists(resource = ''): FakeRequest[] {
    return this.requests.filter(
      ({ method, path, query }) => method === 'GET' && !isWatch(query) && path.endsWith(resource),
    );
  }
  applies(): FakeRequest[] {
    return this.requests.filter(({ method }) => method === 'PATCH');
  }
  watches(resource = ''): FakeRequest[] {
    return this.requests.filter(({ path, query }) => isWatch(query) && path.endsWith(resource));
  }

  async listen(port: number): Promise<void> {
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  put(resource: string, object: FakeObject): void {
    const after = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    const objects = this.#of(resource);
    const before = objects.get(keyOf(object));
    objects.set(keyOf(object), after);
    this.#changed(resource, { version: this.#version, before, after });
  }

  remove(resource: string, { metadata }: FakeObject): void {
    const before = this.#of(resource).get(`${metadata.namespace}/${metadata.name}`);
    if (before === undefined) return;
    this.#of(resource).delete(keyOf(before));
    const version = ++this.#version;
    const last = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } };
    this.#changed(resource, { version, before: last, after: undefined });
  }

  bookmark(): void {
    const object = { metadata: { resourceVersion: String(this.#version) } };
    this.toWatchers(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** What it has of a resource. */
  all(resource: string): FakeObject[] {
    return [...this.#of(resource).values()];
  }

  /** As a server that was restored from an old backup: its versions begin again. */
  rewind(version: number): void {
    this.#version = version;
    this.#oldest = 0;
    for (const changes of this.#changes.values()) changes.length = 0;
    this.#snapshots.clear();
  }

  /** Only the newest changes of each resource are kept; watches from before them are answered with 410. */
  compact(kept: number): void {
    for (const changes of this.#changes.values()) {
      const [last] = changes.splice(0, Math.max(0, changes.length - kept)).slice(-1);
      this.#oldest = Math.max(this.#oldest, last?.version ?? 0);
    }
  }

  /** All versions so far are too old, also those of lists that are under way. */
  expire(): void {
    this.#oldest = ++this.#version;
    this.#snapshots.clear();
  }

  toWatchers(text: string): void {
    if (!this.isFrozen) for (const { response } of this.#watchers) response.write(text);
  }
  endWatchers(): void {
    for (const { response } of this.#watchers) response.end();
  }
  cutWatchers(): void {
    for (const { response } of this.#watchers) response.destroy();
  }

  #of(resource: string): Map<string, FakeObject> {
    const objects = this.#objects.get(resource) ?? new Map<string, FakeObject>();
    this.#objects.set(resource, objects);
    return objects;
  }

  #changed(resource: string, change: Change): void {
    const changes = this.#changes.get(resource);
    if (changes === undefined) this.#changes.set(resource, [change]);
    else changes.push(change);
    for (const watcher of this.#watchers) if (resourceOf(watcher.request) === resource) this.#catchUp(watcher);
  }

  #catchUp(watcher: Watcher): void {
    if (this.isFrozen) return;
    const { request, response } = watcher;
    const changes = this.#changes.get(resourceOf(request)) ?? [];
    const first = changes.findLastIndex(({ version }) => version <= watcher.sent) + 1;
    for (const { version, before, after } of changes.slice(first)) {
      watcher.sent = version;
      const was = before !== undefined && isSelected(before, request);
      const is = after !== undefined && isSelected(after, request);
      if (!was && !is) continue;
      const type = is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED';
      const object = is ? after : { ...before, metadata: { ...before?.metadata, resourceVersion: String(version) } };
      response.write(`${JSON.stringify({ type, object: shown(object as FakeObject, request) })}\n`);
    }
  }

  #answer(message: IncomingMessage, response: ServerResponse): void {
    const url = new URL(message.url ?? '/', 'https://fake');
    const query = Object.fromEntries(url.searchParams);
    const request: FakeRequest = { method: message.method ?? '', path: url.pathname, query, headers: message.headers };
    this.requests.push(request);
    response.on('error', () => undefined);
    const instead = this.next.shift() ?? this.always(request);
    if (instead !== undefined) instead(response, request);
    else if (this.token !== undefined && message.headers.authorization !== `Bearer ${this.token}`)
      answers(401, 'Unauthorized')(response, request);
    else if (/^\/apis\/[^/]+\/[^/]+$/.test(url.pathname))
      this.#discovery(url.pathname.slice('/apis/'.length), response);
    else if (message.method === 'PATCH') void this.#apply(message, request, response);
    else if (isWatch(query)) this.#watch(request, response);
    else this.#list(request, response);
  }

  #discovery(apiVersion: string, response: ServerResponse): void {
    const resources = this.served.get(apiVersion);
    if (resources === undefined) {
      answers(404, 'the server could not find the requested resource')(response, NO_REQUEST);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        kind: 'APIResourceList',
        groupVersion: apiVersion,
        resources: Object.entries(resources).flatMap(([kind, name]) => [
          { name, kind, namespaced: kind !== 'MeshPolicy' },
          { name: `${name}/status`, kind, namespaced: true },
        ]),
      }),
    );
  }

  /** Server-side apply, of labels and data alone: what is the same makes no new version. */
  async #apply(message: IncomingMessage, request: FakeRequest, response: ServerResponse): Promise<void> {
    const [, namespace = '', resource = '', name = ''] =
      /\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(request.path) ?? [];
    if (message.headers['content-type'] !== 'application/apply-patch+yaml' || request.query['force'] !== 'true') {
      answers(415, 'not a server-side apply')(response, request);
      return;
    }
    const sent = (await json(message)) as FakeObject & { readonly data: object };
    const space = this.#of('namespaces').get(`/${namespace}`);
    if (space === undefined) {
      answers(404, `namespaces "${namespace}" not found`)(response, request);
      return;
    }
    const before = this.#of(resource).get(`${namespace}/${name}`);
    if (before === undefined && space.metadata['deletionTimestamp'] !== undefined) {
      answers(403, `unable to create new content in namespace ${namespace} because it is being terminated`)(
        response,
        request,
      );
      return;
    }
    const labels = { ...(before?.metadata['labels'] as object | undefined), ...(sent.metadata['labels'] as object) };
    const data = { ...(before?.['data'] as object | undefined), ...sent.data };
    const after = { ...before, metadata: { ...before?.metadata, name, namespace, labels }, data };
    if (before === undefined || !isDeepStrictEqual(after, before)) this.put(resource, after);
    response.writeHead(before === undefined ? 201 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ metadata: this.#of(resource).get(`${namespace}/${name}`)?.metadata }));
    this.onApplied();
  }

  #watch(request: FakeRequest, response: ServerResponse): void {
    const from = Number(request.query['resourceVersion']);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (from < this.#oldest) {
      // The status of the answer is 200, as a real server has it.
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${from}` };
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      return;
    }
    const watcher: Watcher = { request, response, sent: from };
    this.#watchers.add(watcher);
    const seconds = Number(request.query['timeoutSeconds'] ?? 3600);
    const end = setTimeout(() => response.end(), seconds * 1000);
    response.on('close', () => {
      clearTimeout(end);
      this.#watchers.delete(watcher);
    });
    this.#catchUp(watcher);
  }

  #list(request: FakeRequest, response: ServerResponse): void {
    const token = request.query['continue'] ?? '';
    const [id = '', at = '0'] = token.split('.');
    const snapshot =
      token === ''
        ? {
            version: this.#version,
            items: [...this.#of(resourceOf(request)).values()].filter((object) => isSelected(object, request)),
          }
        : this.#snapshots.get(id);
    if (snapshot === undefined) {
      answers(410, 'The provided continue parameter is too old')(response, request);
      return;
    }
    const from = Number(at);
    const to = from + Number(request.query['limit'] ?? Infinity);
    let next = '';
    if (to < snapshot.items.length) {
      const nextId = token === '' ? String(++this.#snapshot) : id;
      this.#snapshots.set(nextId, snapshot);
      next = `${nextId}.${to}`;
    }
    const items = snapshot.items.slice(from, to).map((object) => shown(object, request));
    response.writeHead(200, { 'content-type': 'application/json' });
    const metadata = { resourceVersion: String(snapshot.version), ...(next === '' ? {} : { continue: next }) };
    response.end(JSON.stringify({ kind: 'List', apiVersion: 'v1', metadata, items }));
  }
}

const isWatch = ({ watch }: FakeRequest['query']): boolean => watch === '1' || watch === 'true';

const NO_REQUEST: FakeRequest = { method: '', path: '', query: {}, headers: {} };

const keyOf = ({ metadata }: FakeObject): string => `${metadata.namespace}/${metadata.name}`;
const resourceOf = ({ path }: FakeRequest): string => path.split('/').at(-1) ?? '';

/** As `as=PartialObjectMetadata` asks. */
const shown = (object: FakeObject, { headers }: FakeRequest): FakeObject =>
  (headers.accept ?? '').includes('PartialObjectMetadata') ? { metadata: object.metadata } : object;

function isSelected(object: FakeObject, { path, query }: FakeRequest): boolean {
  const [, namespace] = /\/namespaces\/([^/]+)\//.exec(path) ?? [];
  if (namespace !== undefined && object.metadata.namespace !== namespace) return false;
  const labels = object.metadata['labels'] as Readonly<Record<string, string>> | undefined;
  return (
    holds(query['fieldSelector'], (field) =>
      field.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object),
    ) && holds(query['labelSelector'], (label) => labels?.[label])
  );
}

function holds(selector: string | undefined, valueOf: (name: string) => unknown): boolean {
  return (selector ?? '')
    .split(',')
    .filter((term) => term !== '')
    .every((term) => {
      const [, name = '', sign, wanted = ''] = /^([^!=]+)(!?=)(.*)$/.exec(term) ?? [];
      return ((valueOf(name) ?? '') === wanted) === (sign === '=');
    });
}
