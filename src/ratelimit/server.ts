/**
 * A server that behaves as envoyproxy/ratelimit's: its files, its settings, its counts in Redis.
 * **In**: settings, a way to listen for gRPC. **Out**: a service that answers, its files watched; pages for people and probes.
 * **Fails**: with one sentence where it cannot listen or a setting is wrong, and with nothing left open. Bad files never end it.
 */
import { readFile } from 'node:fs/promises';
import fastify, { type FastifyInstance } from 'fastify';
import type { Finding } from '../core/rules/policy.ts';
import { findingText } from '../core/rules/findings.ts';
import type { OpenAlgorithms } from './algorithm-store.ts';
import { Algorithms } from './algorithms.ts';
import { type RateLimitService, Unit } from './call.ts';
import { type ConfigFile, readConfigs } from './config/read.ts';
import type { Domains } from './config/tree.ts';
import type { RatelimitErrorCode } from './errors.ts';
import { EscrowStore } from './escrow-store.ts';
import { type LimitInspector, limitInspector } from './inspection.ts';
import { LocalCache } from './local-cache.ts';
import { MemoryStore } from './memory-store.ts';
import { type Mapper, readMapper } from './metric-mapper.ts';
import { RatelimitMetrics } from './metrics.ts';
import type { Mogrifier } from './mogrifiers.ts';
import { prometheusPage } from './prometheus-page.ts';
import { connectRedis, type RedisPlace } from './redis-connect.ts';
import { RedisStore } from './redis-store.ts';
import { rlconfig } from './rlconfig.ts';
import { configFolder, findRuntimeFiles, readFiles } from './runtime-folder.ts';
import { rateLimitService } from './service.ts';
import { answerSettings, type Settings } from './settings.ts';
import { Statsd, tagsOf } from './statsd.ts';
import type { CountStore } from './store.ts';

export interface RatelimitLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** What listens for gRPC, and for /json's words: the frontends give them. */
export interface RatelimitDoors {
  listenGrpc(service: RateLimitService, metrics: RatelimitMetrics, isHealthy: () => boolean): Promise<{ readonly port: number; drain(): Promise<void> }>;
  /** Follows a control plane until it is closed: each state of the world is taken, or refused with why. */
  followXds(take: (files: readonly ConfigFile[]) => string | undefined): Promise<{ close(): Promise<void> }>;
  /** What counts limits that are no windows; asked for when the first is read. */
  openAlgorithms(): Promise<OpenAlgorithms>;
  answerJson(service: RateLimitService, body: string, headers: Readonly<Record<string, string | string[] | undefined>>): Promise<{ readonly status: number; readonly contentType: string; readonly body: string }>;
}

export interface RatelimitOptions extends RatelimitDoors {
  readonly settings: Settings;
  /** Of names that DogStatsD is told. */
  readonly mogrifier?: Mogrifier | undefined;
  /** Puts something around what asks Redis, once, at the start: a tracer. */
  readonly aroundRedis?: ((store: CountStore, pool: 'others' | 'per second') => CountStore) | undefined;
  readonly log: RatelimitLog;
  readonly nowMs?: () => number;
}

export interface RatelimitServer {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly debugPort: number;
  readonly prometheusPort: number | undefined;
  /** True where the files as they are now are in force afterwards. */
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

/** Links are swapped and files written in place, on file systems that tell of neither: so they are looked at. */
const LOOK_EVERY_MS = 500;

export async function startRatelimit(options: RatelimitOptions): Promise<RatelimitServer> {
  const { settings, log, nowMs = Date.now } = options;
  const metrics = new RatelimitMetrics();
  let domains: Domains | undefined;
  let isDraining = false;

  await using stack = new AsyncDisposableStack();
  const stores = openStores(options, nowMs, metrics, stack);
  const algorithms = new Algorithms(() => options.openAlgorithms(), settings.SLUICE_REDIS_DEADLINE);
  stack.defer(() => algorithms.close());
  const localCache = settings.LOCAL_CACHE_SIZE_IN_BYTES > 0 ? new LocalCache(settings.LOCAL_CACHE_SIZE_IN_BYTES) : undefined;
  if (localCache !== undefined) {
    metrics.gauges.set('ratelimit.localcache.entryCount', () => localCache.size);
    metrics.gauges.set('ratelimit.localcache.hitCount', () => localCache.hits);
    metrics.gauges.set('ratelimit.localcache.lookupCount', () => localCache.lookups);
    metrics.gauges.set('ratelimit.localcache.missCount', () => localCache.lookups - localCache.hits);
  }
  const service = rateLimitService({
    domains: () => domains, metrics, nowMs, settings: answerSettings(settings), localCache, algorithms,
    storeOf: (unit) => (unit === Unit.SECOND ? stores.perSecond : stores.others),
  });
  const inspector = limitInspector({
    domains: () => domains, nowMs, algorithms, keyPrefix: settings.CACHE_KEY_PREFIX, keyStyle: answerSettings(settings).keyStyle, storeOf: (unit) => (unit === Unit.SECOND ? stores.perSecond : stores.others),
    heldOf: (key) => [...new Set([stores.others, stores.perSecond])].reduce((sum, store) => sum + (store instanceof EscrowStore ? store.heldOf(key) : 0), 0), forget: (key) => localCache?.forget(key),
  });
  const isHealthy = (): boolean => !isDraining && stores.others.isHealthy && stores.perSecond.isHealthy && algorithms.isHealthy && (domains !== undefined || !settings.HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED);

  // ---------------------------------------------------------- files

  let seen = '';
  /** Settles when what was read last is in force, or cannot be. */
  let taken: Promise<boolean> | undefined;
  async function reload(): Promise<boolean> {
    if (settings.CONFIG_TYPE !== 'FILE') return true; // the control plane says when
    let files: readonly ConfigFile[];
    try {
      const found = await findRuntimeFiles(settings);
      const marks = found.map(({ file, mark }) => `${file} ${mark}`).join('\n');
      if (marks === seen) return true;
      files = await readFiles(found);
      seen = marks;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const code: RatelimitErrorCode = 'RATELIMIT_FILE';
      if (seen !== why) refuse([{ severity: 'error', position: { file: configFolder(settings), line: 1, column: 1 }, code, message: `the files of limits cannot be read: ${why}`, excerpt: undefined }]);
      seen = why;
      return false;
    }
    return use(files) === undefined && await (taken ?? true);
  }

  /** Why they are refused; `undefined`: they are in force, or will be as soon as what counts them is open. */
  function use(files: readonly ConfigFile[]): string | undefined {
    const { domains: read, findings } = readConfigs(files, { mergeDomains: settings.MERGE_DOMAIN_CONFIG, quotaMode: settings.QUOTA_MODE });
    const errors = findings.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) {
      refuse(findings);
      return errors.map(({ position: { file }, message }) => `${file}: ${message}`).join('\n');
    }
    for (const finding of findings) log.warn(findingText(finding));
    const inForce = (): boolean => {
      domains = read;
      metrics.service.configLoadSuccess++;
      log.info('limits loaded', { domains: read.size, files: files.length });
      return true;
    };
    const opened = algorithms.opened(read);
    if (opened === undefined) {
      taken = undefined;
      inForce();
      return undefined;
    }
    metrics.gauges.set('ratelimit.algorithms.breaker_open', () => (algorithms.isSpared ? 1 : 0));
    const own: Promise<boolean> = opened.then(() => taken !== own || inForce(), (error: unknown) => {
      metrics.service.configLoadError++;
      log.error('what counts these limits cannot be opened; what was in force stays', { why: error instanceof Error ? error.message : String(error) });
      return false;
    });
    taken = own;
    return undefined;
  }

  function refuse(findings: readonly Finding[]): void {
    metrics.service.configLoadError++;
    for (const finding of findings) log.error(findingText(finding));
    log.error('error loading new configuration from runtime; what was in force stays');
  }

  if (settings.CONFIG_TYPE === 'GRPC_XDS_SOTW') {
    const first = Promise.withResolvers<void>();
    const following = await options.followXds((files) => {
      const refusal = use(files);
      if (refusal === undefined) first.resolve();
      return refusal;
    });
    stack.defer(() => following.close());
    if (!settings.FORCE_START_WITHOUT_INITIAL_CONFIG) {
      log.info('waits for the control plane', { at: settings.CONFIG_GRPC_XDS_SERVER_URL });
      await first.promise;
      await taken;
    }
  } else {
    await reload();
    const looking = setInterval(() => { void reload(); }, LOOK_EVERY_MS);
    stack.defer(() => clearInterval(looking));
  }

  // ---------------------------------------------------------- doors

  const http = await listenHttp(settings.HOST, settings.PORT, stack, (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
    app.all('/json', async ({ body, headers }, reply) => {
      const answer = await options.answerJson(service, typeof body === 'string' ? body : '', headers);
      return reply.code(answer.status).header('content-type', answer.contentType).send(Buffer.from(answer.body)); // of text fastify would say the charset
    });
    app.get('/healthcheck', (_request, reply) => (isHealthy() ? reply.code(200).type('text/plain').send('OK') : reply.code(500).send()));
  });
  const debug = await listenHttp(settings.DEBUG_HOST, settings.DEBUG_PORT, stack, (app) => {
    app.get('/', (_request, reply) => reply.type('text/plain').send('/rlconfig: print out the currently loaded configuration for debugging\n/stats: print out stats\n/limits/explain, /limits/inspect, and /limits/reset (POST, from this machine): ?domain=D&key=K&value=V&key=K&value=V\n'));
    app.get('/rlconfig', (_request, reply) => reply.type('text/plain').send(domains === undefined ? '' : rlconfig(domains)));
    addInspection(app, inspector);
    app.get('/stats', (_request, reply) => reply.type('text/plain').send([...metrics.counters(), ...[...metrics.gauges].map(([name, read]) => [name, read()] as const)].map(([name, value]) => `${name}: ${value}\n`).join('')));
  });
  const sinks = await openSinks(options, metrics, stack);
  const grpc = await options.listenGrpc(service, metrics, isHealthy);
  stack.defer(() => grpc.drain());

  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    grpcPort: grpc.port, httpPort: http, debugPort: debug, prometheusPort: sinks.prometheusPort, reload,
    drain() {
      isDraining = true;
      return drained ??= open.disposeAsync();
    },
  };
}

function openStores({ settings, aroundRedis = (store) => store }: RatelimitOptions, nowMs: () => number, metrics: RatelimitMetrics, stack: AsyncDisposableStack): { readonly others: CountStore; readonly perSecond: CountStore } {
  if (settings.BACKEND_TYPE === 'memory') {
    const memory = new MemoryStore({ maxKeys: settings.SLUICE_MAX_KEYS, nowMs });
    metrics.gauges.set('ratelimit.memory.keys', () => memory.size);
    metrics.gauges.set('ratelimit.memory.evicted', () => memory.evicted);
    return { others: memory, perSecond: memory };
  }
  const tls = (isOn: boolean): RedisPlace['tls'] => (isOn
    ? { ca: settings.REDIS_TLS_CACERT, cert: settings.REDIS_TLS_CLIENT_CERT, key: settings.REDIS_TLS_CLIENT_KEY, anyName: settings.REDIS_TLS_SKIP_HOSTNAME_VERIFICATION } : undefined);
  const openAt = (pool: string, place: RedisPlace): CountStore => {
    const store = new RedisStore(connected(pool, place), { jitterMaxS: settings.EXPIRATION_JITTER_MAX_SECONDS, timeoutMs: settings.SLUICE_REDIS_DEADLINE });
    stack.defer(() => store.close());
    metrics.gauges.set(`ratelimit.${pool}.cx_active`, () => store.connections.active);
    metrics.gauges.set(`ratelimit.${pool}.cx_total`, () => store.connections.total);
    metrics.gauges.set(`ratelimit.${pool}.cx_local_close`, () => store.connections.closed);
    metrics.gauges.set(`ratelimit.${pool}.trips`, () => store.trips);
    metrics.gauges.set(`ratelimit.${pool}.breaker_open`, () => (store.breaker.state === 'closed' ? 0 : 1));
    const asked = aroundRedis(store, pool === 'redis_pool' ? 'others' : 'per second');
    if (!settings.SLUICE_ESCROW) return asked;
    const escrow = new EscrowStore(asked, { nowMs });
    stack.defer(() => escrow.close());
    metrics.gauges.set(`ratelimit.${pool}.escrow_held`, () => escrow.held);
    for (const count of ['asked', 'local', 'returned', 'stranded'] as const) metrics.gauges.set(`ratelimit.${pool}.escrow_${count}`, () => escrow.counts[count]);
    return escrow;
  };
  const connectTimeoutMs = settings.REDIS_TIMEOUT;
  const others = openAt('redis_pool', {
    socketType: settings.REDIS_SOCKET_TYPE, type: settings.REDIS_TYPE, url: settings.REDIS_URL, auth: settings.REDIS_AUTH, sentinelAuth: settings.REDIS_SENTINEL_AUTH, tls: tls(settings.REDIS_TLS), connectTimeoutMs,
  });
  const perSecond = settings.REDIS_PERSECOND ? openAt('redis_per_second_pool', {
    socketType: settings.REDIS_PERSECOND_SOCKET_TYPE, type: settings.REDIS_PERSECOND_TYPE, url: settings.REDIS_PERSECOND_URL, auth: settings.REDIS_PERSECOND_AUTH, sentinelAuth: settings.REDIS_PERSECOND_SENTINEL_AUTH,
    tls: tls(settings.REDIS_PERSECOND_TLS), connectTimeoutMs,
  }) : others;
  return { others, perSecond };
}

async function openSinks({ settings, mogrifier }: RatelimitOptions, metrics: RatelimitMetrics, stack: AsyncDisposableStack): Promise<{ readonly prometheusPort: number | undefined }> {
  if (settings.DISABLE_STATS) return { prometheusPort: undefined };
  const statsd = (kind: 'statsd' | 'dogstatsd'): void => {
    const sink = new Statsd(metrics, { host: settings.STATSD_HOST, port: settings.STATSD_PORT, kind, everyMs: settings.STATS_FLUSH_INTERVAL, tags: tagsOf(settings.EXTRA_TAGS), mogrifier });
    stack.defer(() => sink.close());
  };
  if (settings.USE_DOG_STATSD) statsd('dogstatsd');
  else if (settings.USE_STATSD && !settings.USE_PROMETHEUS) statsd('statsd');
  if (!settings.USE_PROMETHEUS) return { prometheusPort: undefined };
  const mapper = settings.PROMETHEUS_MAPPER_YAML === '' ? undefined : await mapperOf(settings.PROMETHEUS_MAPPER_YAML);
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(settings.PROMETHEUS_ADDR) ?? [];
  if (host === undefined || port === undefined) throw new SettingError(`PROMETHEUS_ADDR is "${settings.PROMETHEUS_ADDR}"; HOST:PORT or :PORT is expected`);
  const prometheusPort = await listenHttp(host === '' ? '0.0.0.0' : host, Number(port), stack, (app) => {
    app.get(settings.PROMETHEUS_PATH, (_request, reply) => reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(prometheusPage(metrics, mapper)));
  });
  return { prometheusPort };
}

/** What a setting names cannot be used. */
export class SettingError extends Error {}

function connected(pool: string, place: RedisPlace): ReturnType<typeof connectRedis> {
  try {
    return connectRedis(place);
  } catch (error) {
    throw new SettingError(`${pool === 'redis_pool' ? 'REDIS' : 'REDIS_PERSECOND'}_...: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function mapperOf(path: string): Promise<Mapper> {
  try {
    return readMapper(await readFile(path, 'utf8'));
  } catch (error) {
    throw new SettingError(`PROMETHEUS_MAPPER_YAML: ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Addresses of this machine alone: who may read metrics from elsewhere may not take counters away. */
const isLocal = (address: string): boolean => address === '::1' || /^(::ffff:)?127\./.test(address);

function addInspection(app: FastifyInstance, inspector: LimitInspector): void {
  const asked = (query: unknown): { readonly domain: string; readonly entries: (readonly [string, string])[] } => {
    const { domain = '', key = [], value = [] } = query as { domain?: string; key?: string | string[]; value?: string | string[] };
    const values = [value].flat();
    return { domain: String(domain), entries: [key].flat().map((name, at) => [name, values[at] ?? '']) };
  };
  app.get('/limits/explain', ({ query }) => inspector.explain(asked(query).domain, asked(query).entries));
  app.get('/limits/inspect', async ({ query }) => inspector.inspect(asked(query).domain, asked(query).entries));
  app.post('/limits/reset', async ({ query, ip }, reply) => (isLocal(ip) ? inspector.reset(asked(query).domain, asked(query).entries) : reply.code(403).send({ error: 'counters are reset from this machine alone' })));
}

async function listenHttp(host: string, port: number, stack: AsyncDisposableStack, add: (app: FastifyInstance) => void): Promise<number> {
  const app = fastify({ forceCloseConnections: true });
  add(app);
  await app.listen({ host, port });
  stack.defer(() => app.close());
  const bound = app.server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
}
