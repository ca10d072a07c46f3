/** A ServiceEntry of the mesh, `NAME.default.svc.cluster.local`, as YAML. By default it has port 9080. */
export const serviceEntry = (
  name: string,
  endpoints: readonly object[],
  ports: readonly object[] = [{ number: 9080, name: 'http', protocol: 'HTTP' }],
): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: ${JSON.stringify(ports)}
  endpoints: ${JSON.stringify(endpoints)}
`;
