/**
 * One stream of a proxy.
 * **In**: its requests, and the newest resources for it. **Out**: responses, made when the proxy can take them, so that a slow one holds no
 * memory and gets the newest state. **Fails**: never.
 *
 * Changes come in the order that loses no request (make before break): clusters, old and new, then their endpoints; when the proxy has
 * accepted the clusters (Envoy waits until they are warm), listeners and routes; at last the clusters without the old ones. A newer state
 * does not wait for a proxy that takes long: its clusters and endpoints are shown beside the old ones, and the routes stay as they are.
 */
import { settlesWithin } from '../time/settles-within.ts';
import { GrpcError, Status } from '../transport/index.ts';
import { changesBetween, united } from './changes.ts';
import { heldBack } from './held-routes.ts';
import type { Refusal, Resources, SourceOfProxy } from './resource.ts';
import { NOTHING, type Subscription, type View } from './subscription.ts';
import { CLUSTER, ENDPOINTS, inOrder, isOrdered, LISTENER, ROUTES, SECRET } from './type-urls.ts';
import { Wake } from './wake.ts';

export interface PushTimes {
  /** For the proxy to accept clusters before its routes change, and routes before the old clusters go. Then the push goes on. */
  readonly acceptMs: number;
  /** From then on a newer state takes the place of one that the proxy has not accepted, so that its endpoints do not wait. */
  readonly yieldMs: number;
  /** Before the old clusters go, since requests that were routed before may still choose them: Envoy answers these with an empty 503. */
  readonly lingerMs: number;
}

/** Called once for each. */
export interface XdsMeters {
  /** A stream that is not served, by the gRPC code of its refusal. */
  readonly streamRefused?: (code: number) => void;
  /** A response was made. */
  readonly pushed?: (typeUrl: string) => void;
  /** A proxy has accepted everything that a change has brought it. */
  readonly accepted?: (sinceChangeMs: number) => void;
}

/** `superseded`: a newer state is to be pushed in its place. */
type Outcome = 'accepted' | 'refused' | 'superseded';

export class ProxyStream {
  readonly #source: SourceOfProxy;
  readonly #times: PushTimes;
  /** Gives other proxies their turn. */
  readonly #turn: () => Promise<void>;
  readonly #meters: XdsMeters;
  readonly subscriptions = new Map<string, Subscription>();
  /** The resources that the proxy may see now, by type. */
  readonly #shown = new Map<string, Resources>();
  /** The push that is under way, and the last one that ended: versions of the source. */
  pushing: string | undefined;
  inForce: string | undefined;
  #hasChanged = true;
  /** Of the first change whose responses are not all answered; by performance.now(). */
  #changedAtMs: number | undefined;
  #hasSentSince = false;
  /** Of the first of several states in a row that the proxy has not accepted. */
  #unacceptedSinceMs: number | undefined;
  #isOver = false;
  /** Clusters that the proxy has from an earlier stream stay, until its routes have moved. */
  #keepsOld = false;
  /** Clusters that the proxy has refused, and has in no older version. */
  readonly #missing = new Set<string>();
  /** Types that may have a response due: asked for, or shown anew, since they were looked at. */
  readonly #due = new Set<string>();
  readonly #toSend = new Wake();
  /** A response was sent, accepted or refused, or there is a newer state. */
  readonly #progress = new Wake();
  readonly #changed = new Wake();

  constructor(source: SourceOfProxy, times: PushTimes, turn: () => Promise<void>, meters: XdsMeters = {}) {
    this.#source = source;
    this.#times = times;
    this.#turn = turn;
    this.#meters = meters;
  }

  /** The source has newer resources. Those of several calls are pushed together. */
  changed(atMs = performance.now()): void {
    this.#hasChanged = true;
    this.#changedAtMs ??= atMs;
    this.#changed.now();
    this.#progress.now();
  }

  /** `make` for the first request of its type. */
  subscription<S extends Subscription>(typeUrl: string, make: (typeUrl: string) => S): S {
    const known = this.subscriptions.get(typeUrl) as S | undefined;
    if (known !== undefined) return known;
    if (this.subscriptions.size >= MAX_TYPES)
      throw new GrpcError(Status.RESOURCE_EXHAUSTED, `a stream subscribes to at most ${MAX_TYPES} types of resources`);
    const made = make(typeUrl);
    this.subscriptions.set(typeUrl, made);
    return made;
  }

  /** A request was given to its subscription. */
  received(typeUrl: string): void {
    this.#mayBeDue([typeUrl]);
    this.#progress.now();
  }

  end(): void {
    this.#isOver = true;
    this.#toSend.now();
    this.#progress.now();
    this.#changed.now();
  }

  get refusals(): readonly Refusal[] {
    return [...this.subscriptions.values()].flatMap(({ refusal }) => refusal ?? []);
  }

  /** The proxy has all, and has accepted it. */
  get isSynced(): boolean {
    return this.#isAnswered && this.refusals.length === 0;
  }

  get #isAnswered(): boolean {
    return (
      !this.#hasChanged &&
      this.pushing === undefined &&
      [...this.subscriptions.values()].every(({ isSettled }) => isSettled)
    );
  }

  // ---------------------------------------------------------- responses

  async *responses(): AsyncGenerator<Uint8Array, void, undefined> {
    while (!this.#isOver) {
      const response = this.#next();
      if (response !== undefined) {
        this.#hasSentSince ||= !this.#hasChanged;
        yield response;
        continue;
      }
      this.#measure();
      this.#progress.now();
      await this.#toSend.next();
    }
  }

  /** With nothing due. A change that has brought the proxy nothing, or that it refuses, is not measured. */
  #measure(): void {
    if (this.#changedAtMs === undefined || !this.#isAnswered) return;
    if (this.#hasSentSince && this.refusals.length === 0)
      this.#meters.accepted?.(performance.now() - this.#changedAtMs);
    this.#changedAtMs = undefined;
    this.#hasSentSince = false;
  }

  #mayBeDue(typeUrls: Iterable<string>): void {
    for (const typeUrl of typeUrls) this.#due.add(typeUrl);
    this.#toSend.now();
  }

  #next(): Uint8Array | undefined {
    for (const typeUrl of [...this.#due].toSorted(inOrder)) {
      // An empty answer before the first push would empty a proxy that comes back.
      const isShown = this.#shown.has(typeUrl) || (this.inForce !== undefined && !isOrdered(typeUrl));
      const response = isShown ? this.subscriptions.get(typeUrl)?.response(this.#view(typeUrl)) : undefined;
      if (response !== undefined) {
        this.#meters.pushed?.(typeUrl);
        return response;
      }
      this.#due.delete(typeUrl);
    }
    return undefined;
  }

  #view(typeUrl: string): View {
    return {
      resources: this.#shown.get(typeUrl) ?? NOTHING,
      // Old clusters keep their endpoints.
      absent: (name) =>
        this.inForce === undefined || this.#keepsOld ? undefined : this.#source.absent?.(typeUrl, name),
      keepsOld: this.#keepsOld,
    };
  }

  // ---------------------------------------------------------- pushes

  /** Pushes one state after the other, always the newest, until the stream ends. */
  async push(): Promise<void> {
    while (!this.#isOver) {
      if (!this.#hasChanged) {
        await this.#changed.next();
        continue;
      }
      await this.#turn();
      if (this.#isOver) return;
      this.#hasChanged = false;
      const { version, byType } = await this.#source.resources();
      await this.#turn(); // those of many proxies may be ready in one turn of the event loop
      if (this.#isOver) return;
      this.pushing = version;
      const outcome = await (this.inForce === undefined ? this.#begin(byType) : this.#replace(byType));
      this.pushing = undefined;
      if (outcome === 'superseded') continue;
      this.inForce = version;
      this.#mayBeDue(this.subscriptions.keys()); // what was absent may be answered now
    }
  }

  #show(byType: ReadonlyMap<string, Resources>, typeUrls: Iterable<string>): void {
    for (const typeUrl of typeUrls) {
      this.#shown.set(typeUrl, byType.get(typeUrl) ?? NOTHING);
      this.#due.add(typeUrl);
    }
    this.#toSend.now();
  }

  /** A proxy that comes back serves by routes whose clusters may be gone, so its resources change in order as well. */
  async #begin(byType: ReadonlyMap<string, Resources>): Promise<Outcome> {
    this.#keepsOld = [...this.subscriptions.values()].some(({ typeUrl, hasOwn }) => hasOwn && typeUrl !== SECRET);
    let ahead: Outcome = 'accepted';
    if (this.#keepsOld) {
      this.#show(byType, AHEAD);
      // While it warms clusters that its last control plane has sent, Envoy asks for their endpoints alone.
      ahead = await this.#answered([CLUSTER], () => this.subscriptions.has(CLUSTER));
      if (ahead === 'superseded') return ahead;
    }
    this.#show(byType, new Set([CLUSTER, LISTENER, ...byType.keys()]));
    if (ahead === 'refused' || !this.#keepsOld) return ahead;
    const routes = await this.#answered([LISTENER, ROUTES]);
    if (routes !== 'accepted') return routes;
    await settlesWithin(this.#times.lingerMs, this.#ended());
    this.#keepsOld = false;
    this.#mayBeDue(AHEAD);
    return 'accepted';
  }

  async #replace(byType: ReadonlyMap<string, Resources>): Promise<Outcome> {
    const clusters = byType.get(CLUSTER) ?? NOTHING;
    const before = this.#shown.get(CLUSTER) ?? NOTHING;
    const { changed, gone } = changesBetween(before, clusters);
    const hasOld = this.#keepsOld || gone.length > 0;
    const endpoints = byType.get(ENDPOINTS) ?? NOTHING;
    this.#shown.set(SECRET, byType.get(SECRET) ?? NOTHING);
    this.#shown.set(CLUSTER, hasOld ? united(before, clusters) : clusters);
    this.#shown.set(ENDPOINTS, hasOld ? united(this.#shown.get(ENDPOINTS) ?? NOTHING, endpoints) : endpoints);
    // A changed cluster waits for its endpoints, changed or not; both have the same name.
    this.subscriptions.get(ENDPOINTS)?.repeat(changed);
    this.#mayBeDue(AHEAD);
    // Routes to clusters that were refused, or are not there yet, would answer 503: these stay until the clusters are right.
    let ahead = await this.#answered([CLUSTER]);
    if (ahead === 'superseded') return ahead;
    if (![...this.#refusedClusters].some((name) => clusters.has(name))) ahead = 'accepted'; // those go
    const others = [...byType.keys(), ...this.#shown.keys()].filter((type) => !AHEAD.has(type));
    this.#findMissing(before);
    this.#show(heldBack(this.#missing, this.#shown, byType), new Set([LISTENER, ROUTES, ...others]));
    if (ahead === 'refused' || !hasOld) return ahead;
    const routes = await this.#answered([LISTENER, ROUTES]);
    if (routes !== 'accepted' || this.#isOver) return routes;
    await settlesWithin(this.#times.lingerMs, this.#ended());
    this.#keepsOld = false;
    this.#show(byType, AHEAD);
    return 'accepted';
  }

  get #refusedClusters(): ReadonlySet<string> {
    return this.subscriptions.get(CLUSTER)?.refused ?? NO_NAMES;
  }

  /** Those that the proxy has in no version. */
  #findMissing(before: Resources): void {
    const refused = this.#refusedClusters;
    for (const name of this.#missing) if (!refused.has(name)) this.#missing.delete(name);
    for (const name of refused) if (!before.has(name)) this.#missing.add(name);
  }

  async #ended(): Promise<void> {
    while (!this.#isOver) await this.#changed.next();
  }

  /** Of the proxy to what it was shown of these types, once it asks. One that does not in time is taken to have accepted. */
  async #answered(typeUrls: readonly string[], asks: () => boolean = () => true): Promise<Outcome> {
    const subscriptions = (): Subscription[] => typeUrls.flatMap((typeUrl) => this.subscriptions.get(typeUrl) ?? []);
    const isOpen = (): boolean => !asks() || this.#due.size > 0 || subscriptions().some(({ isSettled }) => !isSettled);
    const nowMs = performance.now();
    this.#unacceptedSinceMs ??= nowMs;
    const endsAtMs = this.#unacceptedSinceMs + this.#times.acceptMs;
    const yieldsAtMs = nowMs + this.#times.yieldMs;
    while (!this.#isOver && isOpen()) {
      const [toEndMs, toYieldMs] = [endsAtMs - performance.now(), yieldsAtMs - performance.now()];
      if (toEndMs <= 0) break;
      if (toYieldMs <= 0 && this.#hasChanged) return 'superseded';
      await settlesWithin(toYieldMs > 0 ? Math.min(toEndMs, toYieldMs) : toEndMs, this.#progress.next());
    }
    this.#unacceptedSinceMs = undefined;
    return subscriptions().every(({ refusal }) => refusal === undefined) ? 'accepted' : 'refused';
  }
}

/** Types on one stream; Envoy has about ten. */
const MAX_TYPES = 32;
const NO_NAMES: ReadonlySet<string> = new Set();
const AHEAD: ReadonlySet<string> = new Set([SECRET, CLUSTER, ENDPOINTS]);
