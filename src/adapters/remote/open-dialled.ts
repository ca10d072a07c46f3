import type { Adapter } from '../contract.ts';
import { openIsolated } from '../isolated/open-isolated.ts';
import type { HandlerEnvironment, HandlerToOpen, OpenHandler } from '../open-handler.ts';
import type { Connections } from './connections.ts';
import type { DialTarget } from './dial-target.ts';
import { dial } from './dial.ts';

export { Connections } from './connections.ts';

/** An attempt to connect costs little, and a plugin that was started again is waited for. */
const LONGEST_PAUSE_MS = 5000;

/** Opens a handler behind an address. `adapter`: as {@link asDialled} makes it, or described by the plugin. */
export const openDialled = (
  adapter: Adapter,
  handler: HandlerToOpen,
  environment: HandlerEnvironment,
  target: DialTarget,
  connections: Connections,
): Promise<OpenHandler> =>
  openIsolated(adapter, handler, environment, target.address, dial(connections, target, adapter), LONGEST_PAUSE_MS);
