/**
 * Pods by address and by name. A lookup is a read of a map and returns an object that is made once.
 *
 * - An address that two pods claim (the deletion of the old one is late) is that of the pod that started last.
 * - A pod on its node's network has no address: the node's address is that of all such pods, and of the node's own processes.
 */
import type { KubeObject, ResourceSink } from 'sluice/kubernetes';
import { nameOf, type Owner, type Pod, podOf } from './pod.ts';
import type { ReplicaSetOwners } from './workload.ts';

/** What a lookup answers; only `node` for the address of a node. */
export type Values = Readonly<Record<string, unknown>>;

/** What pods of one workload have in common. */
interface Template {
  readonly namespace: string;
  readonly labels: Pod['labels'];
  readonly serviceAccount: string;
  readonly owner: Owner | undefined;
}
interface Node {
  readonly addresses: readonly string[];
  /** The answer for its addresses. */
  readonly values: Values;
  readonly name: string;
}

interface Entry {
  readonly name: string;
  readonly template: Shared<Template>;
  readonly node: Shared<Node> | undefined;
  readonly addresses: readonly string[];
  readonly startedAtMs: number;
  /** The list in which it was seen last. */
  list: number;
  values: Values | undefined;
  /** Of the owners with which `values` were made. */
  ownersVersion: number;
}

/** Pods of one list and watch. */
interface Source {
  /** The number of its current list. */
  list: number;
  pods: number;
  /** Pods that were not seen in the current list yet, and may be gone. They take no room, or a full index could never be listed anew. */
  unlisted: number;
}

export interface PodIndexOptions {
  readonly owners: ReplicaSetOwners;
  readonly maxPods: number;
  readonly onDropped: () => void;
}

export class PodIndex {
  readonly #options: PodIndexOptions;
  readonly #byAddress = new Map<string, Entry>();
  /** Claimants of an address besides the one in `#byAddress`. */
  readonly #rivals = new Map<string, Entry[]>();
  readonly #byNodeAddress = new Map<string, Shared<Node>>();
  /** By namespace, then name. */
  readonly #byName = new Map<string, Map<string, Entry>>();
  readonly #templates = new SharedValues<Template>();
  readonly #nodes = new SharedValues<Node>();
  #size = 0;
  /** Sinks whose last list had more pods than there was room for. */
  readonly #overfull = new Set<ResourceSink>();

  constructor(options: PodIndexOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether pods are missing, since there are more than `maxPods`. */
  get isOverfull(): boolean {
    return this.#overfull.size > 0;
  }

  /** What is kept besides pods. */
  get sizes(): Readonly<Record<string, number>> {
    return {
      addresses: this.#byAddress.size,
      rivals: this.#rivals.size,
      nodeAddresses: this.#byNodeAddress.size,
      namespaces: this.#byName.size,
      templates: this.#templates.size,
      nodes: this.#nodes.size,
    };
  }

  /** Of the pod that has the address, or of the node. `address` is canonical. */
  atAddress(address: string): Values | undefined {
    const entry = this.#byAddress.get(address);
    if (entry !== undefined) return this.#valuesOf(entry);
    return this.#byNodeAddress.get(address)?.value.values;
  }

  named(namespace: string, name: string): Values | undefined {
    const entry = this.#byName.get(namespace)?.get(name);
    return entry === undefined ? undefined : this.#valuesOf(entry);
  }

  /** For one list and watch: of all namespaces, or of one. */
  sink(namespace?: string): ResourceSink {
    const source: Source = { list: 0, pods: 0, unlisted: 0 };
    const sink: ResourceSink = {
      listing: () => {
        source.list++;
        source.unlisted = source.pods;
        this.#overfull.delete(sink);
      },
      put: (object) => {
        const pod = podOf(object);
        if (pod === undefined) this.#removeObject(object, source);
        else if (!this.#put(pod, source)) {
          this.#overfull.add(sink);
          this.#options.onDropped();
        }
      },
      remove: (object) => this.#removeObject(object, source),
      listed: () => this.#removeUnlisted(source, namespace),
    };
    return sink;
  }

  *#removeUnlisted(source: Source, namespace: string | undefined): Generator<void> {
    for (const [name, pods] of this.#byName)
      if (namespace === undefined || namespace === name)
        for (const entry of pods.values()) {
          if (entry.list !== source.list) this.#remove(name, entry.name, source);
          yield;
        }
  }

  #valuesOf(entry: Entry): Values {
    const { owners } = this.#options;
    if (entry.values !== undefined && entry.ownersVersion === owners.version) return entry.values;
    const { namespace, labels, serviceAccount, owner } = entry.template.value;
    const workload = owners.workloadOf(owner, entry.name, labels);
    entry.ownersVersion = owners.version;
    entry.values = Object.freeze({
      pod: entry.name,
      namespace,
      workload: workload.name,
      workload_kind: workload.kind,
      labels,
      service_account: serviceAccount === '' ? undefined : serviceAccount,
      node: entry.node?.value.name,
    });
    return entry.values;
  }

  /** Whether there was room. */
  #put(pod: Pod, source: Source): boolean {
    const { name, namespace } = pod;
    this.#remove(namespace, name, source);
    if (this.#size - source.unlisted >= this.#options.maxPods) return false;
    const { labels, serviceAccount, owner, addresses, startedAtMs } = pod;
    const key = JSON.stringify([namespace, serviceAccount, owner, labels]);
    const entry: Entry = {
      name,
      template: this.#templates.use(key, () => ({ namespace, labels, serviceAccount, owner })),
      node: this.#useNode(pod),
      addresses: addresses.length === 0 ? NO_ADDRESSES : addresses,
      startedAtMs,
      list: source.list,
      values: undefined,
      ownersVersion: -1,
    };
    let pods = this.#byName.get(namespace);
    if (pods === undefined) this.#byName.set(namespace, (pods = new Map()));
    pods.set(name, entry);
    this.#size++;
    source.pods++;
    for (const address of addresses) this.#claim(address, entry);
    return true;
  }

  #useNode({ node: name, nodeAddresses: addresses }: Pod): Shared<Node> | undefined {
    if (name === '') return undefined;
    const node = this.#nodes.use(`${name} ${addresses.join()}`, () => ({
      name,
      addresses,
      values: Object.freeze({ node: name }),
    }));
    if (node.uses === 1) for (const address of addresses) this.#byNodeAddress.set(address, node);
    return node;
  }

  #removeObject(object: KubeObject, source: Source): void {
    const { namespace, name } = nameOf(object);
    this.#remove(namespace, name, source);
  }

  #remove(namespace: string, name: string, source: Source): void {
    const pods = this.#byName.get(namespace);
    const entry = pods?.get(name);
    if (pods === undefined || entry === undefined) return;
    pods.delete(name);
    if (pods.size === 0) this.#byName.delete(namespace);
    this.#size--;
    source.pods--;
    if (entry.list !== source.list) source.unlisted--;
    for (const address of entry.addresses) this.#disclaim(address, entry);
    this.#templates.release(entry.template);
    const { node } = entry;
    if (node === undefined || !this.#nodes.release(node)) return;
    for (const address of node.value.addresses)
      if (this.#byNodeAddress.get(address) === node) this.#byNodeAddress.delete(address);
  }

  #claim(address: string, entry: Entry): void {
    const holder = this.#byAddress.get(address);
    const isLater = holder === undefined || entry.startedAtMs >= holder.startedAtMs;
    if (isLater) this.#byAddress.set(address, entry);
    if (holder !== undefined)
      this.#rivals.set(address, [...(this.#rivals.get(address) ?? []), isLater ? holder : entry]);
  }

  #disclaim(address: string, entry: Entry): void {
    const rivals = this.#rivals.get(address);
    if (this.#byAddress.get(address) !== entry) {
      this.#setRivals(address, rivals?.filter((rival) => rival !== entry) ?? []);
      return;
    }
    this.#byAddress.delete(address);
    if (rivals === undefined) return;
    const next = rivals.reduce((best, rival) => (rival.startedAtMs >= best.startedAtMs ? rival : best));
    this.#byAddress.set(address, next);
    this.#setRivals(
      address,
      rivals.filter((rival) => rival !== next),
    );
  }

  #setRivals(address: string, rivals: Entry[]): void {
    if (rivals.length === 0) this.#rivals.delete(address);
    else this.#rivals.set(address, rivals);
  }
}

const NO_ADDRESSES: readonly string[] = [];

/** Equal values kept once, with a count of their users: pods of one workload have equal labels, pods of one node its name. */
interface Shared<T> {
  readonly key: string;
  readonly value: T;
  uses: number;
}

class SharedValues<T> {
  readonly #byKey = new Map<string, Shared<T>>();

  get size(): number {
    return this.#byKey.size;
  }

  /** Made by its first user. Each use ends with {@link release}. */
  use(key: string, make: () => T): Shared<T> {
    let shared = this.#byKey.get(key);
    if (shared === undefined) this.#byKey.set(key, (shared = { key, value: make(), uses: 0 }));
    shared.uses++;
    return shared;
  }

  /** Whether that was the last use. */
  release(shared: Shared<T>): boolean {
    if (--shared.uses > 0) return false;
    this.#byKey.delete(shared.key);
    return true;
  }
}
