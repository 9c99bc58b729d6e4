rule regions:
    """Lay out the sites of a region, declared or chosen: one UTM zone and one snapped pixel grid each."""
    input:
        parcels=clustered_parcels,
        files=files_of_choice,
    output:
        "<results>/regions/{region}/sites.parquet",
    log:
        "<logs>/regions/{region}/sites.log",
    benchmark:
        "<benchmarks>/regions/{region}/sites.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        settings=lambda wildcards: as_json(
            {**config["regions"][wildcards.region], "register": "any", "imagery": "any"}
        ),
        parcels=lambda wildcards, input: options("--parcels", input.parcels),
        code=room_code("regions", "labels"),
    shell:
        r"""
        python -m cropflow regions sites \
            --settings {params.settings:q} {params.parcels} --output {output:q} 2>{log:q}
        """


rule regions_parcels:
    """Clip the parcels of a season to the sites of a region."""
    input:
        sites="<results>/regions/{region}/sites.parquet",
        parcels=parcels_of_register,
    output:
        parcels=directory("<results>/regions/{region}/{season}/parcels"),
        summary="<results>/regions/{region}/{season}/parcels.json",
    log:
        "<logs>/regions/{region}/{season}/parcels.log",
    benchmark:
        "<benchmarks>/regions/{region}/{season}/parcels.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="2 GiB",
        runtime="1h",
    params:
        code=room_code("regions", "labels"),
    shell:
        r"""
        python -m cropflow regions parcels \
            --sites {input.sites:q} --parcels {input.parcels:q} \
            --output {output.parcels:q} --summary {output.summary:q} 2>{log:q}
        """
