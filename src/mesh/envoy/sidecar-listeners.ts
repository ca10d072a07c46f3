/**
 * The listeners of a sidecar, and the tables that they name.
 * **In**: what it sees of the mesh. **Out**: listeners and route tables. **Fails**: never.
 *
 * A sidecar without interception (`INTERCEPTION_MODE: NONE`) opens the ports that its Sidecar names, or one on 127.0.0.1 for each port
 * number of a service.
 */
import type { Scope } from '../resolve/scope.ts';
import { inboundListeners } from './inbound-listeners.ts';
import type { Listening } from './listener.ts';
import type { Made } from './made.ts';
import { outboundListeners } from './outbound-listeners.ts';

export function sidecarListeners(scope: Scope): Listening {
  const { listeners, tables } = outboundListeners(scope);
  return { listeners: distinct([...inboundListeners(scope), ...listeners]), tables };
}

/** The first of a name: two listeners at one address would be refused, both of them. */
const distinct = (all: readonly Made[]): readonly Made[] =>
  [...new Map(all.toReversed().map((one) => [one.name, one])).values()].toReversed();
