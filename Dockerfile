# The service in one image: API and worker are two commands of it (docker-compose.yml).
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CTRFAST_HOME=/var/lib/ctrfast

RUN useradd --create-home --uid 10001 ctrfast && install -d -o ctrfast -g ctrfast /var/lib/ctrfast

WORKDIR /opt/ctrfast
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY ctrfast ./ctrfast
COPY service ./service
RUN pip install --no-cache-dir -c constraints.txt ".[postgres]"

USER ctrfast
VOLUME /var/lib/ctrfast
EXPOSE 8000
CMD ["ctrfast-service", "up", "--host", "0.0.0.0", "--port", "8000"]
