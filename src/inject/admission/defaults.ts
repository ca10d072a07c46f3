/**
 * What an API server fills in where a field is absent. Servers before 1.15 do not default the parts that a webhook adds, and compare pods
 * by them.
 */
import { isObject, type JsonObject } from '../../text/json-object.ts';
import { type InjectedList } from '../contract.ts';

/** 0644 */
const FILE_MODE = 420;
const TOKEN_SECONDS = 3600;

export function withDefaults(list: InjectedList, item: JsonObject): JsonObject {
  if (list === 'volumes') return volume(item);
  return list === 'imagePullSecrets' ? item : container(item);
}

function container(item: JsonObject): JsonObject {
  const { env, ports, resources, livenessProbe, readinessProbe, startupProbe } = item;
  return {
    ...item,
    ...each('ports', ports, (port) => ({ ...port, protocol: port['protocol'] ?? 'TCP' })),
    ...each('env', env, (variable) =>
      isObject(variable['valueFrom']) ? { ...variable, valueFrom: fieldSource(variable['valueFrom']) } : variable,
    ),
    resources: isObject(resources) ? withRequests(resources) : {},
    ...probe('livenessProbe', livenessProbe),
    ...probe('readinessProbe', readinessProbe),
    ...probe('startupProbe', startupProbe),
    terminationMessagePath: item['terminationMessagePath'] ?? '/dev/termination-log',
    terminationMessagePolicy: item['terminationMessagePolicy'] ?? 'File',
    imagePullPolicy: item['imagePullPolicy'] ?? pullPolicy(typeof item['image'] === 'string' ? item['image'] : ''),
  };
}

/** An image by its digest has no tag that could move. */
function pullPolicy(image: string): string {
  const name = image.slice(image.lastIndexOf('/') + 1);
  const isLatest = image !== '' && !image.includes('@') && (!name.includes(':') || name.endsWith(':latest'));
  return isLatest ? 'Always' : 'IfNotPresent';
}

/** A resource that is limited, and not requested, is requested to its limit. */
function withRequests(resources: JsonObject): JsonObject {
  const { limits, requests } = resources;
  if (!isObject(limits)) return resources;
  return { ...resources, requests: { ...limits, ...(isObject(requests) ? requests : {}) } };
}

function probe(name: string, given: unknown): JsonObject {
  if (!isObject(given)) return {};
  const { httpGet } = given;
  return {
    [name]: {
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
      ...given,
      ...(isObject(httpGet) ? { httpGet: { path: '/', scheme: 'HTTP', ...httpGet } } : {}),
    },
  };
}

function volume(item: JsonObject): JsonObject {
  const { secret, configMap, projected, downwardAPI, hostPath } = item;
  return {
    ...item,
    ...(isObject(secret) ? { secret: { defaultMode: FILE_MODE, ...secret } } : {}),
    ...(isObject(configMap) ? { configMap: { defaultMode: FILE_MODE, ...configMap } } : {}),
    ...(isObject(downwardAPI) ? { downwardAPI: { defaultMode: FILE_MODE, ...downward(downwardAPI) } } : {}),
    ...(isObject(hostPath) ? { hostPath: { type: '', ...hostPath } } : {}),
    ...(isObject(projected)
      ? {
          projected: {
            defaultMode: FILE_MODE,
            ...projected,
            ...each('sources', projected['sources'], projectedSource),
          },
        }
      : {}),
  };
}

function projectedSource(source: JsonObject): JsonObject {
  const { serviceAccountToken, downwardAPI } = source;
  return {
    ...source,
    ...(isObject(serviceAccountToken)
      ? { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, ...serviceAccountToken } }
      : {}),
    ...(isObject(downwardAPI) ? { downwardAPI: downward(downwardAPI) } : {}),
  };
}

const downward = (api: JsonObject): JsonObject => ({ ...api, ...each('items', api['items'], fieldSource) });

/** A field of the pod is of API version v1. */
function fieldSource(source: JsonObject): JsonObject {
  const { fieldRef } = source;
  return isObject(fieldRef) ? { ...source, fieldRef: { apiVersion: 'v1', ...fieldRef } } : source;
}

/** The list with each object changed, under its name; nothing where there is no list. */
const each = (name: string, list: unknown, change: (item: JsonObject) => JsonObject): JsonObject =>
  Array.isArray(list) ? { [name]: list.map((item: unknown) => (isObject(item) ? change(item) : item)) } : {};
