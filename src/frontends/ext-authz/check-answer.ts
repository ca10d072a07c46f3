/**
 * **In**: a verdict. **Out**: the CheckResponse that says it to Envoys of all versions.
 * **Fails**: an `error` is a gRPC error, so that Envoy's own failure mode decides; status code 0 is said of `allow` alone.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { Verdict } from '../../core/call.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import { type CheckResponse, CheckResponseSchema } from '../generated/envoy/service/auth/v3/external_auth_pb.ts';
import type { StatusCode } from '../generated/envoy/type/v3/http_status_pb.ts';
import { verdictMetadata } from '../verdict-metadata.ts';
import type { CheckWire } from './check-wire.ts';
import { denialHeaders, removedHeaders, requestHeaders, responseHeaders } from './header-options.ts';

export function checkAnswer(verdict: Verdict, wire: CheckWire): Uint8Array {
  return toBinary(CheckResponseSchema, responseOf(verdict, wire));
}

function responseOf(verdict: Verdict, wire: CheckWire): CheckResponse {
  const dynamicMetadata = verdictMetadata(verdict, verdict.metadata);
  switch (verdict.outcome) {
    case 'allow': {
      const { request, response, query } = verdict;
      return create(CheckResponseSchema, {
        status: { code: Status.OK },
        dynamicMetadata,
        httpResponse: {
          case: 'okResponse',
          value: {
            headers: requestHeaders(request, wire.headers()),
            headersToRemove: removedHeaders(request),
            responseHeadersToAdd: responseHeaders(response),
            queryParametersToSet: query.set.map(([key, value]) => ({ key, value })),
            queryParametersToRemove: [...query.remove],
          },
        },
      });
    }
    case 'deny': return denial(verdict, dynamicMetadata, verdict.code === Status.OK ? Status.PERMISSION_DENIED : verdict.code, verdict.status);
    case 'failed': return denial(verdict, dynamicMetadata, Status.UNAVAILABLE, 503);
    case 'error': throw new GrpcError(Status.UNAVAILABLE, `${verdict.rule ?? 'a rule'} could not be decided (verdict ${verdict.id})`);
  }
}

function denial({ rule, headers, body }: Verdict, dynamicMetadata: CheckResponse['dynamicMetadata'], code: number, status: number): CheckResponse {
  return create(CheckResponseSchema, {
    status: { code, message: rule ?? '' },
    dynamicMetadata,
    httpResponse: { case: 'deniedResponse', value: { status: { code: status as StatusCode }, headers: denialHeaders(headers), body } },
  });
}
