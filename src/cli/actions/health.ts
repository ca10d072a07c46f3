import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { addressText, dialGrpc } from '../../transport/index.ts';
import { type DialFlags, dialTls } from '../dial-flags.ts';
import { parseAddress, parseTimeout } from '../flag-values.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { printOut } from '../terminal.ts';
import { messageOf } from '../../text/message-of.ts';
import { connectReason } from '../connect-reason.ts';

export interface HealthFlags extends DialFlags {
  readonly to: string;
  readonly timeout: string;
}

/** Works with both servers: `serve` and `ratelimit`. */
export async function health({ to, timeout, ...tls }: HealthFlags): Promise<ExitCode> {
  const timeoutMs = parseTimeout(timeout);
  const address = addressText(parseAddress(to, { unix: true }));
  const client = dialGrpc(address, await dialTls(tls));
  try {
    const request = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema));
    const { status } = fromBinary(
      HealthCheckResponseSchema,
      await client.unary('/grpc.health.v1.Health/Check', request, { timeoutMs }),
    );
    const isServing = status === HealthCheckResponse_ServingStatus.SERVING;
    printOut(isServing ? 'SERVING' : 'NOT_SERVING');
    return isServing ? EXIT.ok : EXIT.findings;
  } catch (error) {
    throw new CliError('CLI_UNREACHABLE', `${address} did not answer: ${connectReason(messageOf(error))}`, {
      cause: error,
    });
  } finally {
    client.close();
  }
}
