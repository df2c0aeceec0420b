# One image for every program of the system; docker-compose.yml says which one a container runs.
FROM python:3.11.11-slim-bookworm AS build

ENV UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /app
# The dependencies change seldom: a layer of their own.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project
COPY README.md ./
COPY api ./api
COPY cache ./cache
COPY cli ./cli
COPY config ./config
COPY devnet ./devnet
COPY domain ./domain
COPY provider ./provider
COPY registry ./registry
COPY runtime ./runtime
COPY supervisor ./supervisor
COPY tasks ./tasks
COPY telemetry ./telemetry
RUN uv sync --locked --no-dev

FROM python:3.11.11-slim-bookworm

# Nobody in here is root, and nothing in /app can be changed at run time.
RUN useradd --system --create-home --uid 10001 balance
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1
USER balance
WORKDIR /home/balance
CMD ["balance-cache", "--help"]
