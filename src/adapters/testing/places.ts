/** The places where the kit runs a handler; the behaviours are the same in all. */
import type { Adapter } from '../contract.ts';
import { inProcessChannel } from '../isolated/in-process-channel.ts';
import { openIsolated } from '../isolated/open-isolated.ts';
import { type HandlerEnvironment, type HandlerToOpen, openHandler, type OpenHandler } from '../open-handler.ts';
import { openInWorker } from '../worker/open-in-worker.ts';

export type PlaceName = 'process' | 'protocol' | 'worker' | 'grpc';

export interface PlaceOptions {
  /** The module that exports the adapter. */
  readonly module: URL | undefined;
  /** The config before the adapter's schema parsed it. */
  readonly written: unknown;
}

/** `kill` ends the place as a crash does; absent in the process of the test. */
export interface OpenedAt {
  readonly open: OpenHandler;
  readonly kill?: () => void;
}

interface Place {
  /** Ends the names of tests. */
  readonly says: string;
  open(
    adapter: Adapter,
    toOpen: HandlerToOpen,
    environment: HandlerEnvironment,
    options: PlaceOptions,
  ): Promise<OpenedAt>;
}

/**
 * `process`: as `run: inline`. `protocol`: in this process, but over the messages that cross to another process. `worker`: as
 * `run: worker`; a process imports the adapter from `module`. `grpc`: as `run: { dial: ... }`, at a Unix socket.
 */
export const PLACES: Readonly<Record<PlaceName, Place>> = {
  process: {
    says: '',
    open: async (adapter, toOpen, environment) => ({ open: await openHandler(adapter, toOpen, environment) }),
  },
  protocol: {
    says: ', over the protocol',
    async open(adapter, toOpen, environment) {
      let kill = (): void => undefined;
      const channel = inProcessChannel(adapter, environment, (end) => {
        kill = () => end('killed by a test');
      });
      return { open: await openIsolated(adapter, toOpen, environment, 'protocol', channel), kill: () => kill() };
    },
  },
  worker: {
    says: ', in a worker',
    async open(adapter, toOpen, environment, { module }) {
      if (module === undefined)
        throw new Error(`testAdapter in a worker needs "module", the URL of the module that exports ${adapter.name}`);
      let kill = (): void => undefined;
      const open = await openInWorker(adapter, toOpen, environment, {
        module: module.href,
        onStarted: (terminate) => {
          kill = terminate;
        },
      });
      return { open, kill: () => kill() };
    },
  },
  grpc: {
    says: ', over gRPC',
    open: async (adapter, toOpen, environment, { written }) =>
      (await import('./grpc-place.ts')).openOverGrpc(adapter, toOpen, environment, written),
  },
};
