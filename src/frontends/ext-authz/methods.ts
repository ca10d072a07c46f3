/**
 * envoy.service.auth.v3.Authorization: whether a request or connection is allowed.
 * **In**: a CheckRequest of Envoy's HTTP or network filter. **Out**: a CheckResponse, in the same turn if the engine
 * answers synchronously. **Fails**: INVALID_ARGUMENT for anything but a CheckRequest; UNAVAILABLE for the outcome `error`.
 */
import type { Engine } from '../../core/call.ts';
import type { Method } from '../../transport/transport.ts';
import { type FrontendOptions, systemNowMs } from '../frontend-options.ts';
import { Authorization } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { checkAnswer } from './check-answer.ts';
import { CheckWire } from './check-wire.ts';

export function extAuthzMethods(
  engine: Engine,
  { nowMs = systemNowMs }: FrontendOptions = {},
): [path: string, method: Method][] {
  return [
    [
      `/${Authorization.typeName}/Check`,
      {
        kind: 'unary',
        handle: (request, context) => {
          const wire = new CheckWire(request, nowMs, context);
          const verdict = engine.check(wire.isHttp ? 'http' : 'tcp', wire, context);
          return verdict instanceof Promise
            ? verdict.then((late) => new Uint8Array(checkAnswer(late, wire)))
            : checkAnswer(verdict, wire);
        },
      },
    ],
  ];
}
