/**
 * The gRPC status of a denied gRPC client.
 * **In**: headers of a denial, its gRPC code, the content type of the request. **Out**: the headers, with `grpc-status` for a gRPC request.
 * **Fails**: never.
 *
 * Without the header Envoy derives a status from the HTTP status: UNAVAILABLE for 429, which clients retry, and UNIMPLEMENTED for 404.
 */
import type { HeaderPair } from './header-pairs.ts';

const NAME = 'grpc-status';

/** As Envoy recognises gRPC: `application/grpc`, or with a suffix such as `+proto`. gRPC-Web is not, until its filter has changed it. */
const GRPC = /^application\/grpc(?:$|[+;])/;

/** A status that the rule writes itself stays. */
export const withGrpcStatus = (
  headers: readonly HeaderPair[],
  code: number,
  contentType: string | undefined,
): readonly HeaderPair[] =>
  contentType === undefined || !GRPC.test(contentType) || headers.some(([name]) => name.toLowerCase() === NAME)
    ? headers
    : [...headers, [NAME, String(code)]];
