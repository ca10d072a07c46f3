import { create, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema } from '../gen/envoy/service/auth/v3/external_auth_pb.ts';

export interface RequestOf {
  readonly user?: string;
  readonly path?: string;
  readonly requestId?: string;
  readonly authorization?: string;
}

/** As Envoy sends it for a browser's request through two proxies. */
export function checkRequest({
  user = 'ann',
  path = '/ratings/42?page=3&sort=recent',
  requestId = '3b1f0a52-9c7e-4c1d-8a55-0f6f0c6f6c1e',
  authorization = `Bearer ${'eyJhbGciOiJSUzI1NiJ9'.repeat(18)}`,
}: RequestOf = {}): Uint8Array {
  const headers: Record<string, string> = {
    ':authority': 'shop.example.com',
    ':method': 'GET',
    ':path': path,
    ':scheme': 'https',
    accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'accept-encoding': 'gzip, deflate, br, zstd',
    'accept-language': 'en-GB,en;q=0.9,de;q=0.7',
    authorization,
    'user-agent':
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
    'x-forwarded-for': '203.0.113.9, 198.51.100.7',
    'x-forwarded-proto': 'https',
    'x-envoy-internal': 'false',
    'x-request-id': requestId,
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    'x-user': user,
  };
  const socket = (address: string, portValue: number): object => ({
    address: {
      address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: portValue } } },
    },
  });
  return toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, {
      attributes: {
        source: socket('198.51.100.7', 51812),
        destination: socket('10.4.2.17', 8443),
        request: {
          time: { seconds: 1_790_000_000n, nanos: 123_000_000 },
          http: {
            id: '17180214723456789012',
            method: 'GET',
            headers,
            path,
            host: 'shop.example.com',
            scheme: 'https',
            protocol: 'HTTP/2',
          },
        },
        contextExtensions: { 'destination.namespace': 'shop' },
      },
    }),
  );
}

/** The message with gRPC's length prefix. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}
