import { jsonAt, type Json } from '../attributes/json-value.ts';
import type { Node } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { ifWellFormed, present } from './wire-values.ts';

/** The proxy that sends a stream of records, which Envoy names in the first message only. Malformed parts of it are absent. */
export class LogOrigin {
  readonly node: Node | undefined;
  readonly logName: string | undefined;
  readonly proxyVersion: string | undefined;
  /** When its stream began here, by `performance.now()`. */
  readonly openedAtMs: number;
  /** It has sent entries of connections that last. */
  sendsInterim = false;

  constructor(
    identifier: { readonly node?: Node | undefined; readonly logName: string } | undefined,
    openedAtMs = -Infinity,
  ) {
    this.openedAtMs = openedAtMs;
    this.node = ifWellFormed(() => identifier?.node);
    this.logName = ifWellFormed(() => present(identifier?.logName));
    this.proxyVersion = ifWellFormed(() => versionOf(this.node));
  }

  /** A value of the node's metadata, as Istio fills it. */
  fact(...path: readonly string[]): Json | undefined {
    return jsonAt(this.node?.metadata as Json | undefined, path);
  }

  /** Istio's ids begin with the kind of proxy: sidecar~, router~, waypoint~. */
  get isWaypoint(): boolean {
    return this.node?.id.startsWith('waypoint~') === true;
  }
}

function versionOf(node: Node | undefined): string | undefined {
  switch (node?.userAgentVersionType.case) {
    case 'userAgentVersion':
      return present(node.userAgentVersionType.value);
    case 'userAgentBuildVersion': {
      const { version } = node.userAgentVersionType.value;
      return version === undefined ? undefined : `${version.majorNumber}.${version.minorNumber}.${version.patch}`;
    }
    case undefined:
      return undefined;
  }
}
