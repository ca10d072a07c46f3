/** What a proxy gets, and where it comes from. */
import type { JsonObject } from '@bufbuild/protobuf';

export interface Resource {
  readonly name: string;
  /** Equal for equal content alone: a digest. */
  readonly version: string;
  /** The encoded message. */
  readonly value: Uint8Array;
  /** The object that it was made of, for the operator: `VirtualService default/reviews at reviews.yaml:12:3`. */
  readonly origin?: string | undefined;
}

/** Of one type, by name. */
export type Resources = ReadonlyMap<string, Resource>;

export interface ProxyResources {
  /** For the operator: the state of the mesh that they were made of. */
  readonly version: string;
  readonly byType: ReadonlyMap<string, Resources>;
}

/** A client, as its first request describes it. */
export interface Proxy {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: JsonObject;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string } | undefined;
  /** `127.0.0.1:50412` */
  readonly peer: string;
  /** What `authenticate` of the server has proven. All else is what the client says of itself. */
  readonly identity: string | undefined;
}

export interface ResourceSource {
  /**
   * For a new stream. Throws a GrpcError to refuse the proxy. `changed` says that resources of this stream alone are newer; it may be
   * called from the next turn of the event loop on.
   */
  connect(proxy: Proxy, changed: () => void): SourceOfProxy;
}

export interface SourceOfProxy {
  /** The newest. Called for each push; maps that did not change should be the same objects, since those are not compared. */
  resources(): ProxyResources | Promise<ProxyResources>;
  /** In place of a resource that does not exist, so that its client does not wait: an empty one. `undefined`: nothing. */
  absent?(typeUrl: string, name: string): Resource | undefined;
  /** The stream has ended. */
  close?(): void;
}

/** A response that the proxy did not accept (NACK). */
export interface Refusal {
  readonly typeUrl: string;
  readonly atMs: number;
  /** Envoy's own text. */
  readonly why: string;
  /** Resources that the text names; otherwise all that were new to the proxy. */
  readonly resources: readonly Pick<Resource, 'name' | 'origin'>[];
}
