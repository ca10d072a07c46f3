/** A server's side of a connection without a socket. */
import { grpcServer } from '../../../src/transport/grpc/serve.ts';
import { Connection } from '../../../src/transport/h2/connection.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import type { Methods } from '../../../src/transport/index.ts';
import { METHODS } from './conversations.ts';

export interface Side {
  readonly connection: Connection;
  readonly said: () => Buffer;
  readonly faults: unknown[];
  readonly isClosed: () => boolean;
}

export function side(methods: Methods = METHODS): Side {
  const said: Buffer[] = [];
  const faults: unknown[] = [];
  let isClosed = false;
  const { serve } = grpcServer(methods, {
    maxMessageBytes: 64 * 1024,
    onFault: (_path, error) => {
      faults.push(error);
    },
  });
  const connection = new Connection({
    serve,
    limits: DEFAULT_LIMITS,
    peer: { address: 'test:1', certificate: undefined },
    nowMs: () => performance.now(),
    onFault: (error) => {
      faults.push(error);
    },
    outlet: {
      isFull: false,
      write: (bytes) => said.push(Buffer.from(bytes)) > 0,
      soon: (flush) => flush(),
      close: () => {
        isClosed = true;
      },
    },
  });
  return { connection, said: () => Buffer.concat(said), faults, isClosed: () => isClosed };
}
