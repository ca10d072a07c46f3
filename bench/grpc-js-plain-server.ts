/**
 * ext_authz on grpc-js with its own proto loader, for check.ts; the equivalent of go-server/. protobufjs decodes every request, the
 * attributes of the three rules are read, and the request is allowed.
 */
import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

interface CheckRequest {
  readonly attributes?: {
    readonly request?: {
      readonly http?: {
        readonly method: string;
        readonly path: string;
        readonly host: string;
        readonly scheme: string;
        readonly headers: Readonly<Record<string, string>>;
      };
    };
  };
}

function check({ request }: ServerUnaryCall<CheckRequest, unknown>, callback: sendUnaryData<unknown>): void {
  const { method = '', path = '', host = '', scheme = '', headers = {} } = request.attributes?.request?.http ?? {};
  if (method === 'TRACE' || path.includes('..') || host === 'old.example')
    return callback(null, { status: { code: 7 } });
  const isKnown = (headers['x-user'] ?? '') !== '' && scheme === 'https';
  callback(null, {
    status: {},
    okResponse: { headers: isKnown ? [{ header: { key: 'x-policy', value: 'three' } }] : [] },
  });
}

const protos = loadSync('envoy/service/auth/v3/external_auth.proto', { includeDirs: ['protos'], keepCase: false });
const { envoy } = loadPackageDefinition(protos) as unknown as {
  envoy: { service: { auth: { v3: { Authorization: ServiceClientConstructor } } } };
};
const server = new Server({ 'grpc.enable_channelz': 0 });
server.addService(envoy.service.auth.v3.Authorization.service, { Check: check });
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`gRPC 127.0.0.1:${port}`);
});
process.once('SIGTERM', () => process.exit(0));
