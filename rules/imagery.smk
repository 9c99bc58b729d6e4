rule imagery_find:
    """Find the scenes of a sensor and season; no pixel is read."""
    input:
        source=imagery_source,
        sites="<results>/regions/{region}/sites.parquet",
    output:
        "<results>/imagery/{region}/{season}/found/{sensor}.parquet",
    log:
        "<logs>/imagery/{region}/{season}/found/{sensor}.log",
    benchmark:
        "<benchmarks>/imagery/{region}/{season}/found/{sensor}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="2 GiB",
        runtime="1h",
        service=asks_service,
        at_once=requests_at_once,
        per_second=requests_per_second,
    params:
        source=lambda wildcards, input: options("--source", input.source),
        settings=sensor_settings,
        season=entry("seasons"),
    shell:
        r"""
        python -m cropflow imagery find --sensor {wildcards.sensor} {params.source} \
            --sites {input.sites:q} --settings {params.settings:q} --season {params.season:q} \
            --requests-at-once {resources.at_once} --requests-per-second {resources.per_second} \
            --output {output:q} 2>{log:q}
        """


rule imagery_plan:
    """Say what fetching the scenes of a season costs, all sensors together, before any is fetched."""
    input:
        sites="<results>/regions/{region}/sites.parquet",
        found=found_scenes,
    output:
        "<results>/imagery/{region}/{season}/plan.json",
    log:
        "<logs>/imagery/{region}/{season}/plan.log",
    benchmark:
        "<benchmarks>/imagery/{region}/{season}/plan.tsv"
    localrule: True
    conda:
        "../envs/geo.yaml"
    params:
        found=lambda wildcards, input: options("--found", input.found),
        settings=lambda wildcards: as_json(imagery_entry(wildcards)),
        season=entry("seasons"),
        series=lambda wildcards: options("--series", server_series(wildcards)),
    shell:
        r"""
        python -m cropflow imagery plan {params.found} {params.series} \
            --sites {input.sites:q} --settings {params.settings:q} --season {params.season:q} \
            --pace results/.work/imagery/pace.json --output {output:q} 2>{log:q}
        """


rule imagery:
    """Fetch the scenes found of a sensor, and write them to the site grids."""
    input:
        source=imagery_source,
        sites="<results>/regions/{region}/sites.parquet",
        found="<results>/imagery/{region}/{season}/found/{sensor}.parquet",
        # Only that it is there: a plan made again for another sensor, budget or pace must not fetch a season again.
        plan=ancient("<results>/imagery/{region}/{season}/plan.json"),
    output:
        scenes=directory("<results>/imagery/{region}/{season}/{sensor}.zarr"),
        catalogue="<results>/imagery/{region}/{season}/{sensor}.parquet",
        completeness="<results>/imagery/{region}/{season}/{sensor}.json",
    log:
        "<logs>/imagery/{region}/{season}/{sensor}.log",
    benchmark:
        "<benchmarks>/imagery/{region}/{season}/{sensor}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1  # a fetch waits for the network: its requests in flight take no core
    resources:
        mem=fetch_memory,
        # What is fetched when time runs out is kept, and the next run goes on.
        runtime=lambda wildcards: "1d" if asks_service(wildcards) else "4h",
        service=asks_service,
        at_once=requests_at_once,
        per_second=requests_per_second,
    params:
        source=lambda wildcards, input: options("--source", input.source),
        settings=sensor_settings,
        season=entry("seasons"),
    shell:
        r"""
        python -m cropflow imagery export --sensor {wildcards.sensor} {params.source} \
            --sites {input.sites:q} --settings {params.settings:q} --season {params.season:q} \
            --found {input.found:q} --requests-at-once {resources.at_once} \
            --requests-per-second {resources.per_second} \
            --work results/.work/imagery/{wildcards.region}/{wildcards.season}/{wildcards.sensor} \
            --pace results/.work/imagery/pace.json --catalogue {output.catalogue:q} \
            --completeness {output.completeness:q} --output {output.scenes:q} 2>{log:q}
        """
