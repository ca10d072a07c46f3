/** Objects as the API server sends them. Every field may be absent or of another type: the server is another program. */

export interface OwnerReference {
  readonly kind?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly controller?: boolean;
}

export interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly creationTimestamp?: string;
}

export interface KubeObject {
  readonly metadata?: Metadata;
}

/** Takes the objects of one resource. Its methods are called one at a time. An error that one throws is a bug, and ends the watch. */
export interface ResourceSink<T extends KubeObject = KubeObject> {
  /** A list begins; also when the last one was not complete. */
  listing(): void;
  /** An object that is new, changed, or listed again. */
  put(object: T): void;
  /** An object that was deleted, in its last state; it may be unknown. */
  remove(object: T): void;
  /** The list is complete: objects that were not put since `listing` are gone. Yields between steps, since there may be many. */
  listed(): Iterable<void>;
}

/** A resource of an API server, and the sink of its objects. */
export interface Resource {
  /** `/api/v1/pods`, `/apis/apps/v1/namespaces/shop/replicasets`. */
  readonly path: string;
  /** `labelSelector`, `fieldSelector`. */
  readonly query: Readonly<Record<string, string>>;
  /** Asks for the metadata of objects only, which is a fraction of their bytes. */
  readonly metadataOnly: boolean;
  readonly sink: ResourceSink;
  /** A larger object is skipped. */
  readonly maxObjectBytes: number;
  readonly onOversized: () => void;
}

/** The Accept header for an object, or for a list. */
export const acceptOf = ({ metadataOnly }: Resource, list = ''): string =>
  metadataOnly
    ? `application/json;as=PartialObjectMetadata${list};g=meta.k8s.io;v=v1, application/json`
    : 'application/json';
