import { GrpcError, Status } from '../transport/transport.ts';

/**
 * Bytes of a peer that are not a message of the expected type. A malformed request ends its call with this status; a malformed part
 * that is decoded on demand is absent.
 */
export class Malformed extends GrpcError {
  constructor(message: string, options?: ErrorOptions) {
    super(Status.INVALID_ARGUMENT, message, options);
    this.name = 'Malformed';
  }
}

/** `undefined` if a part is malformed; any other error is internal and is rethrown. */
export function absentWhereMalformed(error: unknown): undefined {
  if (!(error instanceof Malformed)) throw error;
}
