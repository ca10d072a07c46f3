/**
 * Server reflection, v1 and v1alpha: grpcurl, ghz and others learn the services from it.
 * **In**: the descriptors of the services. **Out**: their files and the files that these import.
 * **Fails**: by an error_response on the stream, which continues, as the protocol requires.
 */
import { create, fromBinary, toBinary, type DescFile, type DescMessage, type DescService } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { GrpcError, Status, type Method } from '../transport/transport.ts';
import * as v1 from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import * as v1alpha from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';

type Answer = v1.ServerReflectionResponse['messageResponse'];

/** Describes the given services and reflection itself. */
export function reflectionMethods(services: readonly DescService[]): [path: string, method: Method][] {
  // The two versions differ only in their package, so the same bytes mean the same.
  const versions = [v1.ServerReflection, v1alpha.ServerReflection];
  const index = new Index([...services, ...versions]);
  async function* handle(requests: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const bytes of requests) {
      const originalRequest = decode(bytes);
      const messageResponse = index.answer(originalRequest.messageRequest);
      yield toBinary(
        v1.ServerReflectionResponseSchema,
        create(v1.ServerReflectionResponseSchema, {
          validHost: originalRequest.host,
          originalRequest,
          messageResponse,
        }),
      );
    }
  }
  return versions.map((service) => [`/${service.typeName}/ServerReflectionInfo`, { kind: 'stream', handle }]);
}

function decode(bytes: Uint8Array): v1.ServerReflectionRequest {
  try {
    return fromBinary(v1.ServerReflectionRequestSchema, bytes);
  } catch (error) {
    throw new GrpcError(Status.INVALID_ARGUMENT, 'the request is not a grpc.reflection ServerReflectionRequest', {
      cause: error,
    });
  }
}

const failed = (errorCode: number, errorMessage: string): Answer => ({
  case: 'errorResponse',
  value: create(v1.ErrorResponseSchema, { errorCode, errorMessage }),
});

/** All files that the services import, by name and by the symbols they declare. */
class Index {
  readonly #services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #messages = new Set<string>();

  constructor(services: readonly DescService[]) {
    this.#services = [...new Set(services.map(({ typeName }) => typeName))].toSorted();
    for (const { file } of services) this.#add(file);
  }

  answer(request: v1.ServerReflectionRequest['messageRequest']): Answer {
    switch (request.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: create(v1.ListServiceResponseSchema, {
            service: this.#services.map((name) => create(v1.ServiceResponseSchema, { name })),
          }),
        };
      case 'fileByFilename':
        return this.#file(this.#files.get(request.value), `no file ${request.value}`);
      case 'fileContainingSymbol':
        return this.#file(this.#symbols.get(request.value), `no symbol ${request.value}`);
      case 'fileContainingExtension':
        return failed(
          Status.NOT_FOUND,
          `no extension ${request.value.extensionNumber} of ${request.value.containingType}: these services have none`,
        );
      case 'allExtensionNumbersOfType':
        return this.#messages.has(request.value)
          ? {
              case: 'allExtensionNumbersResponse',
              value: create(v1.ExtensionNumberResponseSchema, { baseTypeName: request.value }),
            }
          : failed(Status.NOT_FOUND, `no message ${request.value}`);
      case undefined:
        return failed(Status.INVALID_ARGUMENT, 'the request has no known kind of question');
    }
  }

  #file(file: DescFile | undefined, missing: string): Answer {
    if (file === undefined) return failed(Status.NOT_FOUND, missing);
    const files = [...withDependencies(file)].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
    return {
      case: 'fileDescriptorResponse',
      value: create(v1.FileDescriptorResponseSchema, { fileDescriptorProto: files }),
    };
  }

  #add(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const symbol of symbolsOf(file)) this.#symbols.set(symbol, file);
    for (const message of file.messages) this.#addMessage(message);
    for (const dependency of file.dependencies) this.#add(dependency);
  }

  #addMessage(message: DescMessage): void {
    this.#messages.add(message.typeName);
    for (const nested of message.nestedMessages) this.#addMessage(nested);
  }
}

/** The file first, then its imports, each once. */
function withDependencies(file: DescFile, seen = new Set<DescFile>()): Set<DescFile> {
  if (!seen.has(file)) {
    seen.add(file);
    for (const dependency of file.dependencies) withDependencies(dependency, seen);
  }
  return seen;
}

function* symbolsOf(file: DescFile): Generator<string> {
  for (const service of file.services) {
    yield service.typeName;
    for (const method of service.methods) yield `${service.typeName}.${method.name}`;
  }
  for (const { typeName } of file.enums) yield typeName;
  for (const message of file.messages) yield* symbolsOfMessage(message);
}

function* symbolsOfMessage(message: DescMessage): Generator<string> {
  yield message.typeName;
  for (const { name } of message.fields) yield `${message.typeName}.${name}`;
  for (const { typeName } of message.nestedEnums) yield typeName;
  for (const nested of message.nestedMessages) yield* symbolsOfMessage(nested);
}
