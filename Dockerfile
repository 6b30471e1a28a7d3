# The service in one image: API, worker and Ray are commands of it (docker-compose.yml).
FROM python:3.11-slim AS build

WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY ctrfast ./ctrfast
COPY service ./service
RUN python -m venv /opt/ctrfast
RUN /opt/ctrfast/bin/pip install --no-cache-dir --no-compile -c constraints.txt ".[cluster,oidc,otel,postgres,s3]"

FROM python:3.11-slim

ENV PATH=/opt/ctrfast/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CTRFAST_HOME=/var/lib/ctrfast
RUN useradd --create-home --uid 10001 ctrfast && install -d -o ctrfast -g ctrfast /var/lib/ctrfast /keys
COPY --from=build /opt/ctrfast /opt/ctrfast

USER ctrfast
WORKDIR /var/lib/ctrfast
VOLUME /var/lib/ctrfast
EXPOSE 8000
CMD ["ctrfast-service", "up", "--host", "0.0.0.0", "--port", "8000"]
