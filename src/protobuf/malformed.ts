import { GrpcError, Status } from '../transport/transport.ts';

/**
 * Octets of a peer that are no message of the type they should be. Where they are the frame of a request, the call ends with it.
 * Where they are a part that is decoded when a rule asks for it, the part's attributes are absent: the rule's own onError decides.
 */
export class Malformed extends GrpcError {
  constructor(message: string, options?: ErrorOptions) {
    super(Status.INVALID_ARGUMENT, message, options);
    this.name = 'Malformed';
  }
}

/** Absent where a part is malformed; any other error is a fault of ours and is thrown on. */
export function absentWhereMalformed(error: unknown): undefined {
  if (!(error instanceof Malformed)) throw error;
}
