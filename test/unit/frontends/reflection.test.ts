/** The client has no proto files: grpc-js with descriptors that proto-loader makes of the answers. */
import { listen } from '../../../src/transport/index.ts';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import {
  Client,
  credentials,
  makeGenericClientConstructor,
  type ServiceError,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AccessLogService } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { Authorization, CheckResponseSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { RateLimitService } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import {
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
  type ServerReflectionResponse,
} from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { reflectionMethods } from '../../../src/frontends/reflection.ts';
import { failureOf, all, serve, Status, type Serving } from '../transport/serving.ts';

let serving: Serving;
beforeAll(async () => {
  serving = await serve(listen, {
    ...Object.fromEntries(reflectionMethods([Authorization, RateLimitService, AccessLogService, Health])),
    '/envoy.service.auth.v3.Authorization/Check': {
      kind: 'unary',
      handle: () =>
        toBinary(
          CheckResponseSchema,
          create(CheckResponseSchema, { status: { code: 7, message: 'learnt by reflection' } }),
        ),
    },
  });
});
afterAll(() => serving.stop());

type Asked = MessageInitShape<typeof ServerReflectionRequestSchema>['messageRequest'];

async function ask(asked: readonly Asked[], version = 'v1'): Promise<ServerReflectionResponse['messageResponse'][]> {
  const requests = asked.map((messageRequest) =>
    toBinary(
      ServerReflectionRequestSchema,
      create(ServerReflectionRequestSchema, { messageRequest: messageRequest ?? { case: undefined } }),
    ),
  );
  const answers: ServerReflectionResponse['messageResponse'][] = [];
  for await (const bytes of serving.client.stream(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    requests,
  )) {
    answers.push(fromBinary(ServerReflectionResponseSchema, bytes).messageResponse);
  }
  return answers;
}

const fileNames = (answer: ServerReflectionResponse['messageResponse'] | undefined): string[] =>
  answer?.case === 'fileDescriptorResponse'
    ? answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name)
    : [];

describe.each(['v1', 'v1alpha'])('%s', (version) => {
  test('lists the services', async () => {
    const [answer] = await ask([{ case: 'listServices', value: '' }], version);
    expect(answer?.case === 'listServicesResponse' && answer.value.service.map(({ name }) => name)).toEqual([
      'envoy.service.accesslog.v3.AccessLogService',
      'envoy.service.auth.v3.Authorization',
      'envoy.service.ratelimit.v3.RateLimitService',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
  });

  test('returns a file with its imports, by name and by symbol', async () => {
    const symbols = [
      'envoy.service.auth.v3.Authorization',
      'envoy.service.auth.v3.Authorization.Check',
      'envoy.service.auth.v3.CheckResponse',
      'envoy.service.auth.v3.CheckResponse.status',
    ];
    const answers = await ask(
      [
        { case: 'fileByFilename', value: 'envoy/service/auth/v3/external_auth.proto' },
        ...symbols.map((value): Asked => ({ case: 'fileContainingSymbol', value })),
      ],
      version,
    );
    expect(answers.length).toBe(5);
    for (const answer of answers) {
      const names = fileNames(answer);
      expect(names[0]).toBe('envoy/service/auth/v3/external_auth.proto');
      expect(names).toContain('google/protobuf/struct.proto');
      expect(names).toContain('envoy/config/core/v3/address.proto');
      expect(new Set(names).size).toBe(names.length);
    }
    const [nested] = await ask(
      [{ case: 'fileContainingSymbol', value: 'envoy.service.auth.v3.AttributeContext.Peer' }],
      version,
    );
    expect(fileNames(nested)[0]).toBe('envoy/service/auth/v3/attribute_context.proto');
  });

  test('reports unknown names on the stream, which goes on', async () => {
    const answers = await ask(
      [
        { case: 'fileByFilename', value: 'nope.proto' },
        { case: 'fileContainingSymbol', value: 'a.B' },
        { case: 'fileContainingExtension', value: { containingType: 'a.B', extensionNumber: 1 } },
        { case: 'allExtensionNumbersOfType', value: 'a.B' },
        undefined,
        { case: 'allExtensionNumbersOfType', value: 'envoy.service.auth.v3.CheckResponse' },
      ],
      version,
    );
    const said = answers.map((answer) => (answer.case === 'errorResponse' ? answer.value.errorCode : answer.case));
    expect(said).toEqual([
      Status.NOT_FOUND,
      Status.NOT_FOUND,
      Status.NOT_FOUND,
      Status.NOT_FOUND,
      Status.INVALID_ARGUMENT,
      'allExtensionNumbersResponse',
    ]);
  });
});

test('half a message is INVALID_ARGUMENT', async () => {
  const failure = await failureOf(
    all(
      serving.client.stream('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', [new Uint8Array([34, 9, 65])]),
    ),
  );
  expect(failure.code).toBe(Status.INVALID_ARGUMENT);
});

test('a client can call a service with nothing but what reflection tells', async () => {
  const [answer] = await ask([{ case: 'fileContainingSymbol', value: 'envoy.service.auth.v3.Authorization' }]);
  if (answer?.case !== 'fileDescriptorResponse') throw new Error(`the answer is ${answer?.case}`);
  const file = answer.value.fileDescriptorProto
    .map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
    .toReversed();
  const definitions = loadFileDescriptorSetFromBuffer(
    Buffer.from(toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }))),
  );
  const service = definitions['envoy.service.auth.v3.Authorization'] as ServiceDefinition;
  const client = new (makeGenericClientConstructor(service, 'Authorization'))(
    serving.address,
    credentials.createInsecure(),
  ) as unknown as Client & {
    Check(
      request: object,
      callback: (error: ServiceError | null, reply: { status: { message: string } }) => void,
    ): void;
  };
  const reply = await new Promise((resolve, reject) =>
    client.Check({ attributes: {} }, (error, said) => (error === null ? resolve(said) : reject(error))),
  );
  expect(reply).toMatchObject({ status: { code: 7, message: 'learnt by reflection' } });
  client.close();
});
