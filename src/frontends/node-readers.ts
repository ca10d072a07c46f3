/** The attributes of the proxy that sends a stream, by name. */
import { type Json, mapOfJson } from '../attributes/json-value.ts';
import type { Value } from '../attributes/values.ts';
import type { LogOrigin } from './log-origin.ts';
import { present } from './wire-values.ts';

type NodeReader = (wire: { readonly origin: LogOrigin }) => Value | undefined;
export const NODE_READERS: Readonly<Record<string, NodeReader>> = {
  'context.reporter.uid': ({ origin }) => present(origin.node?.id),
  'context.proxy_version': ({ origin }) => origin.proxyVersion,
  'context.node.id': ({ origin }) => present(origin.node?.id),
  'context.node.cluster': ({ origin }) => present(origin.node?.cluster),
  'context.node.region': ({ origin }) => present(origin.node?.locality?.region),
  'context.node.zone': ({ origin }) => present(origin.node?.locality?.zone),
  'context.node.sub_zone': ({ origin }) => present(origin.node?.locality?.subZone),
  'context.node.metadata': ({ origin }) => mapOfJson((origin.node?.metadata ?? {}) as Readonly<Record<string, Json>>),
};
