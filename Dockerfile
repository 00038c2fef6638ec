# aftune on a CPU: docker build --tag aftune . && docker run --rm --volume "$PWD:/work" aftune quickstart
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/aftune
ENV PATH=/opt/aftune/bin:$PATH
WORKDIR /build

COPY constraints.txt requirements.lock ./
RUN pip install --quiet --constraint constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
RUN pip install --quiet --no-deps --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY recipes recipes
RUN pip install --quiet --no-deps .

FROM python:3.11.14-slim-bookworm

COPY --from=build /opt/aftune /opt/aftune
RUN useradd --create-home --uid 1000 aftune && mkdir /work && chown aftune /work
ENV PATH=/opt/aftune/bin:$PATH
USER aftune
WORKDIR /work
ENTRYPOINT ["aftune"]
CMD ["--help"]
