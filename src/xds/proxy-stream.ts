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
import { heldBack, MissingClusters } from './held-routes.ts';
import { boundedOld } from './old-clusters.ts';
import type { PushTimes, XdsMeters } from './push.ts';
import type { Refusal, Resources, SourceOfProxy } from './resource.ts';
import { areSettled, hasAccepted, NOTHING, type Subscription, type View } from './subscription.ts';
import { CLUSTER, ENDPOINTS, inOrder, isOrdered, LISTENER, ROUTES, SECRET } from './type-urls.ts';
import { Wake } from './wake.ts';
import { UnacceptedClusters, type Warming } from './warming.ts';

/** `superseded`: a newer state is to be pushed in its place; `unanswered`: the proxy said nothing in time. */
type Outcome = 'accepted' | 'refused' | 'superseded' | 'unanswered';

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
  readonly #missing = new MissingClusters();
  /** Clusters of the last answer of the proxy, and of the last state whose routes it has accepted. */
  #answeredClusters: Resources = NOTHING;
  #routedClusters: Resources = NOTHING;
  /** The push waits no longer for answers that are still to come. */
  #isLate = false;
  readonly unaccepted: UnacceptedClusters;
  /** Types that may have a response due: asked for, or shown anew, since they were looked at. */
  readonly #due = new Set<string>();
  readonly #toSend = new Wake();
  /** A response was sent, accepted or refused, or there is a newer state. */
  readonly #progress = new Wake();
  readonly #changed = new Wake();

  constructor(
    source: SourceOfProxy,
    times: PushTimes,
    turn: () => Promise<void>,
    meters: XdsMeters = {},
    onWarming: (clusters: readonly Warming[]) => void = () => undefined,
  ) {
    this.#source = source;
    this.#times = times;
    this.#turn = turn;
    this.#meters = meters;
    const { subscriptions } = this;
    this.unaccepted = new UnacceptedClusters({ shown: this.#shown, subscriptions }, times.acceptMs, onWarming);
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
    const isAnswered = this.subscriptions.get(typeUrl)?.isSettled === true;
    const clusters = this.#shown.get(CLUSTER) ?? NOTHING;
    if (typeUrl === CLUSTER && isAnswered && !this.#due.has(CLUSTER)) this.#answeredClusters = clusters;
    if (ROUTING.has(typeUrl) && hasAccepted(this.subscriptions, ROUTING)) this.#routedClusters = clusters;
    this.#mayBeDue([typeUrl]);
    this.#progress.now();
    // What waited for these answers may go on.
    if (this.#isLate && isAnswered && areSettled(this.subscriptions, [CLUSTER, ...ROUTING]))
      this.changed(this.#changedAtMs);
  }

  end(): void {
    this.#isOver = true;
    this.unaccepted.end();
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
        if (typeUrl === CLUSTER) this.unaccepted.sent();
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
    if (ahead !== 'accepted' || !this.#keepsOld) return ahead;
    const routes = await this.#answered([...ROUTING]);
    if (routes !== 'accepted') return routes;
    await settlesWithin(this.#times.lingerMs, this.#ended());
    this.#keepsOld = false;
    this.#mayBeDue(AHEAD);
    return 'accepted';
  }

  async #replace(byType: ReadonlyMap<string, Resources>): Promise<Outcome> {
    const clusters = byType.get(CLUSTER) ?? NOTHING;
    const before = boundedOld(this.#shown.get(CLUSTER) ?? NOTHING, clusters, this.#routedClusters);
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
    if (ahead === 'refused' && ![...this.#refusedClusters].some((name) => clusters.has(name))) ahead = 'accepted'; // those go
    const others = [...byType.keys(), ...this.#shown.keys()].filter((type) => !AHEAD.has(type));
    const cold = this.unaccepted.unanswered.filter(({ name }) => !this.#answeredClusters.has(name));
    const missing = this.#missing.now(this.#refusedClusters, before, cold);
    const held = heldBack(missing, this.#shown, byType);
    this.#show(held, new Set([...ROUTING, ...others]));
    if (ahead !== 'accepted' || !hasOld) return ahead;
    const routes = await this.#answered([...ROUTING]);
    if (routes !== 'accepted' || this.#isOver) return routes;
    await settlesWithin(this.#times.lingerMs, this.#ended());
    this.#keepsOld = false;
    this.#show(byType, AHEAD);
    return 'accepted';
  }

  get #refusedClusters(): ReadonlySet<string> {
    return this.subscriptions.get(CLUSTER)?.refused ?? NO_NAMES;
  }

  async #ended(): Promise<void> {
    while (!this.#isOver) await this.#changed.next();
  }

  /** Of the proxy to what it was shown of these types, once it asks. */
  async #answered(typeUrls: readonly string[], asks: () => boolean = () => true): Promise<Outcome> {
    const subscriptions = (): Subscription[] => typeUrls.flatMap((typeUrl) => this.subscriptions.get(typeUrl) ?? []);
    const isOpen = (): boolean => !asks() || this.#due.size > 0 || subscriptions().some(({ isSettled }) => !isSettled);
    const nowMs = performance.now();
    this.#unacceptedSinceMs ??= nowMs;
    const endsAtMs = this.#unacceptedSinceMs + (this.#isLate ? this.#times.yieldMs : this.#times.acceptMs);
    const yieldsAtMs = nowMs + this.#times.yieldMs;
    while (!this.#isOver && isOpen()) {
      const [toEndMs, toYieldMs] = [endsAtMs - performance.now(), yieldsAtMs - performance.now()];
      if (toEndMs <= 0) {
        this.#unacceptedSinceMs = undefined;
        this.#isLate = true;
        return 'unanswered';
      }
      if (toYieldMs <= 0 && this.#hasChanged) return 'superseded';
      await settlesWithin(toYieldMs > 0 ? Math.min(toEndMs, toYieldMs) : toEndMs, this.#progress.next());
    }
    this.#unacceptedSinceMs = undefined;
    this.#isLate = false;
    return subscriptions().every(({ refusal }) => refusal === undefined) ? 'accepted' : 'refused';
  }
}

const MAX_TYPES = 32; // on one stream; Envoy has about ten
const NO_NAMES: ReadonlySet<string> = new Set();
const AHEAD: ReadonlySet<string> = new Set([SECRET, CLUSTER, ENDPOINTS]);
const ROUTING: ReadonlySet<string> = new Set([LISTENER, ROUTES]);
